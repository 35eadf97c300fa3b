//! `OVERLAP_F_B`: a forward and a backward that need not wait for each other.

use autopipe_schedule::{Compute, ComputeOp};

use super::Worker;
use super::arriving::Arriving;
use super::compute::{At, Done, Job};
use super::interpret::Run;
use super::stage::StageRun;
use crate::ActionError;
use crate::error::communication;

impl Worker {
    /// Runs both parts, together where there is something to overlap: side by side if the rank
    /// computes with several threads and they are of different stages; else the forward first,
    /// unless its tensors are still on their way and the backward's are not. Neither reads what the
    /// other writes, so that the result has the same bits in any order.
    ///
    /// Tensor-parallel ranks sum in the midst of both, and in the same order: all do the forward first.
    /// Side by side they could not, for a backward that computes a layer's forward again sums as a
    /// forward does.
    pub(super) fn overlap(
        &mut self,
        run: &mut Run<'_>,
        forward: Compute,
        backward: Compute,
    ) -> Result<(), ActionError> {
        let may_choose = self.tensor_parallel.is_none();
        // Only in a pool of the rank's own: the process-wide one is everybody's.
        let has_pool = rayon::current_thread_index().is_some();
        let has_threads = has_pool && rayon::current_num_threads() > 1;
        if may_choose && has_threads && forward.stage != backward.stage {
            return self.side_by_side(run, forward, backward);
        }
        let same = (forward.stage, forward.microbatch) == (backward.stage, backward.microbatch);
        if may_choose && !same && !self.is_ready(forward)? && self.is_ready(backward)? {
            self.compute(run, backward)?;
            return self.compute(run, forward);
        }
        self.compute(run, forward)?;
        self.compute(run, backward)
    }

    fn side_by_side(
        &mut self,
        run: &mut Run<'_>,
        forward: Compute,
        backward: Compute,
    ) -> Result<(), ActionError> {
        let of = [self.at(forward), self.at(backward)];
        let jobs = [self.prepare(run, forward)?, self.prepare(run, backward)?];
        let (mut of_forward, mut of_backward) = (None, None);
        for (&id, stage) in &mut self.stages {
            if id == forward.stage {
                of_forward = Some(stage);
            } else if id == backward.stage {
                of_backward = Some(stage);
            }
        }
        let [forward_job, backward_job] = jobs;
        let go = |stage: Option<&mut StageRun>, job: Job, at: At| {
            let stage = stage.expect("checked by `new`: this rank owns the stages of its row");
            job.run(stage, at)
        };
        let (forwarded, backwarded): (Result<Done, _>, Result<Done, _>) = rayon::join(
            || go(of_forward, forward_job, of[0]),
            || go(of_backward, backward_job, of[1]),
        );
        self.settle(run, forward, forwarded?);
        self.settle(run, backward, backwarded?);
        self.after(backward)
    }

    /// Whether what a computation takes from other ranks is here.
    fn is_ready(&self, compute: Compute) -> Result<bool, ActionError> {
        let Some(stage) = self.stages.get(&compute.stage) else { return Ok(true) };
        let awaited = match compute.op {
            ComputeOp::Forward => stage.inputs(compute.microbatch),
            ComputeOp::Backward | ComputeOp::BackwardInput => {
                stage.output_grads(compute.microbatch)
            }
            ComputeOp::BackwardWeight | ComputeOp::Recompute => None,
        };
        match awaited {
            Some(Arriving::Posted { posted, .. }) => {
                self.comm.has_arrived(posted).map_err(communication)
            }
            Some(Arriving::Here(_)) | None => Ok(true),
        }
    }
}
