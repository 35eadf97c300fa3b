//! One arm per action: what each does with the stages of its rank.

use std::collections::BTreeMap;

use autopipe_schedule::{
    Action, Compute, ComputeOp, Direction, MicroBatch, Stage, Transfer, ValidProgram,
};
use candle_core::Tensor;

use super::arriving::Arriving;
use super::compute::{At, Done, End, Job};
use super::stage::{Inputs, Keep, StageRun};
use super::trace::Trace;
use super::{Outputs, Worker};
use crate::batch::{Purpose, Rows};
use crate::communicator::{PostedRecv, Tag, wait_for};
use crate::error::communication;
use crate::{ActionError, Batch, Keywords};

/// What one run of a program gathers.
pub(super) struct Run<'a> {
    pub(super) program: &'a ValidProgram,
    pub(super) batch: &'a Batch,
    pub(super) rows: Rows,
    pub(super) wanted: Outputs,
    pub(super) losses: BTreeMap<MicroBatch, Tensor>,
    pub(super) outputs: BTreeMap<MicroBatch, Vec<Tensor>>,
    /// How many actions of each tie group this rank has come to.
    pub(super) ties_reached: BTreeMap<u16, usize>,
    /// Whether a rank of the pipeline has gradients that were summed over replicas before.
    pub(super) has_sums: bool,
    /// Notes when things happen, if somebody wants to know.
    pub(super) trace: Option<Trace>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        program: &'a ValidProgram,
        batch: &'a Batch,
        rows: Rows,
        wanted: Outputs,
    ) -> Self {
        let (losses, outputs) = (BTreeMap::new(), BTreeMap::new());
        let ties_reached = BTreeMap::new();
        Self {
            program,
            batch,
            rows,
            wanted,
            losses,
            outputs,
            ties_reached,
            has_sums: false,
            trace: None,
        }
    }

    fn keywords_of(&self, index: MicroBatch) -> candle_core::Result<Keywords> {
        self.batch.keywords_of(&self.rows, index, purpose(self.program))
    }

    fn is_last(&self, stage: Stage) -> bool {
        stage.index() + 1 == self.program.num_stages()
    }
}

/// What a program is run for.
pub(super) fn purpose(program: &ValidProgram) -> Purpose {
    if program.has_backward() { Purpose::Training } else { Purpose::Evaluation }
}

impl Worker {
    pub(super) fn run_action(
        &mut self,
        run: &mut Run<'_>,
        action: Action,
    ) -> Result<(), ActionError> {
        let Some(trace) = &mut run.trace else { return self.do_action(run, action) };
        trace.begin();
        self.do_action(run, action)?;
        for compute in action.computes() {
            // A GPU computes on when the call has returned.
            if let Some(parameter) = self.stage(compute.stage).parameters().iter().next() {
                parameter.device().synchronize()?;
            }
        }
        if let Some(trace) = &mut run.trace {
            trace.end(action);
        }
        Ok(())
    }

    fn do_action(&mut self, run: &mut Run<'_>, action: Action) -> Result<(), ActionError> {
        match action {
            Action::Compute(compute) => self.compute(run, compute),
            Action::Overlap(overlap) => self.overlap(run, overlap.forward(), overlap.backward()),
            Action::Send(transfer) => self.send(run, transfer),
            Action::Recv(transfer) => self.recv(run, transfer),
            // A communicator takes what is sent at once and frees it when it is through.
            Action::WaitSend(_) => Ok(()),
            // Without others that share its parameters a rank has them whole.
            Action::Unshard(stage) => {
                self.replicas.as_mut().map_or(Ok(()), |replicas| replicas.unshard(stage))
            }
            Action::Reshard(stage) => {
                self.replicas.as_mut().map_or(Ok(()), |replicas| replicas.reshard(stage))
            }
            Action::ReduceGrad(stage) => {
                self.replicas.as_mut().map_or(Ok(()), |replicas| replicas.reduce(stage))
            }
            Action::WaitReduceGrad(stage) => {
                self.replicas.as_mut().map_or(Ok(()), |replicas| replicas.wait(stage))
            }
            Action::ReduceTied { group, .. } => self.reduce_tied(run, group),
            Action::OptimizerStep(_) => unreachable!("refused by `new`: {action}"),
        }
    }

    pub(super) fn compute(
        &mut self,
        run: &mut Run<'_>,
        compute: Compute,
    ) -> Result<(), ActionError> {
        let job = self.prepare(run, compute)?;
        let at = self.at(compute);
        let done = job.run(self.stage(compute.stage), at)?;
        self.settle(run, compute, done);
        self.after(compute)?;
        if let Some(trace) = &mut run.trace {
            trace.part_done();
        }
        Ok(())
    }

    /// What a computation is followed by at once.
    pub(super) fn after(&mut self, Compute { op, stage, .. }: Compute) -> Result<(), ActionError> {
        match &mut self.replicas {
            Some(replicas) if op.frees() => replicas.after_backward(stage),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn at(&self, Compute { stage, microbatch, .. }: Compute) -> At {
        At { stage, microbatch, guard: self.guard }
    }

    pub(super) fn stage(&mut self, stage: Stage) -> &mut StageRun {
        self.stages.get_mut(&stage).expect("checked by `new`: this rank owns the stages of its row")
    }

    /// Waits for whatever a computation takes from other ranks and puts it together with the rest.
    pub(super) fn prepare(
        &mut self,
        run: &mut Run<'_>,
        Compute { op, stage, microbatch }: Compute,
    ) -> Result<Job, ActionError> {
        if let Some(replicas) = &mut self.replicas {
            replicas.ready(stage, op.frees())?;
        }
        let num_microbatches = run.program.num_microbatches();
        let batch = |run: &Run<'_>| run.batch.inputs_of(num_microbatches, microbatch);
        let is_first = stage.index() == 0;
        Ok(match op {
            ComputeOp::Forward => {
                let inputs = if is_first {
                    Inputs::Batch(batch(run)?)
                } else {
                    let arriving = self.stage(stage).take_inputs(microbatch);
                    Inputs::Received(self.arrived(run, arriving)?)
                };
                let goes_backward = run.program.has_backward() && self.stage(stage).goes_backward();
                let keep = if !goes_backward {
                    Keep::Nothing
                } else if self.recomputed.contains(&(stage, microbatch)) {
                    Keep::Inputs
                } else {
                    Keep::Graph
                };
                let end = self.end(run, stage, microbatch)?;
                Job::Forward { inputs, keywords: run.keywords_of(microbatch)?, keep, end }
            }
            ComputeOp::Recompute | ComputeOp::BackwardWeight
                if !self.stage(stage).goes_backward() =>
            {
                Job::Nothing
            }
            ComputeOp::Recompute => Job::Recompute {
                batch: if is_first { Some(batch(run)?) } else { None },
                keywords: run.keywords_of(microbatch)?,
                end: self.end(run, stage, microbatch)?,
            },
            ComputeOp::Backward | ComputeOp::BackwardInput => {
                let arriving = self.stage(stage).take_output_grads(microbatch);
                let grads = self.arrived(run, arriving)?;
                match op {
                    _ if !self.stage(stage).goes_backward() => Job::PassBackward,
                    ComputeOp::Backward => Job::Backward { grads },
                    _ => Job::BackwardInput { grads },
                }
            }
            ComputeOp::BackwardWeight => Job::BackwardWeight,
        })
    }

    /// What the last stage's forward ends with.
    fn end(
        &self,
        run: &Run<'_>,
        stage: Stage,
        index: MicroBatch,
    ) -> Result<Option<End>, ActionError> {
        if !run.is_last(stage) {
            return Ok(None);
        }
        let num_microbatches = run.program.num_microbatches();
        let target = run.batch.target.as_ref().expect("checked: the last stage has it");
        let loss_scale = run.batch.loss_scale;
        #[expect(clippy::cast_precision_loss, reason = "microbatches are counted in 32 bits")]
        let grad_scale =
            if self.scale_grads { loss_scale / num_microbatches as f64 } else { loss_scale };
        Ok(Some(End {
            loss: std::sync::Arc::clone(&self.loss),
            target: target.tensor_part(num_microbatches, index.index())?,
            loss_scale,
            grad_scale,
        }))
    }

    /// Gives what a computation made to whoever waits for it on this rank.
    pub(super) fn settle(&mut self, run: &mut Run<'_>, compute: Compute, done: Done) {
        let Compute { op, stage, microbatch } = compute;
        match op {
            ComputeOp::Forward => {
                if let Some(loss) = done.loss {
                    run.losses.insert(microbatch, loss);
                    if run.wanted != Outputs::Drop {
                        run.outputs.insert(microbatch, done.outputs);
                    }
                } else if let Some(next) = self.local(run.program, stage.index() + 1) {
                    let outputs = self.stage(stage).take_outputs(microbatch);
                    self.stage(next).receive_inputs(microbatch, Arriving::Here(outputs));
                }
            }
            ComputeOp::Backward | ComputeOp::BackwardInput => {
                let Some(former) = stage.index().checked_sub(1) else {
                    // The batch's own gradient is nobody's.
                    drop(self.stage(stage).take_input_grads(microbatch));
                    return;
                };
                if let Some(former) = self.local(run.program, former) {
                    let grads = self.stage(stage).take_input_grads(microbatch);
                    self.stage(former).receive_output_grads(microbatch, Arriving::Here(grads));
                }
            }
            ComputeOp::BackwardWeight | ComputeOp::Recompute => {}
        }
    }

    /// The stage of this index if it is on this rank: then tensors change hands without a message.
    pub(super) fn local(&self, program: &ValidProgram, index: usize) -> Option<Stage> {
        let stage = Stage::new(index);
        (program.placement().rank_of(stage).index() == self.comm.rank()).then_some(stage)
    }

    fn send(&mut self, run: &mut Run<'_>, transfer: Transfer) -> Result<(), ActionError> {
        let to = run.program.placement().rank_of(transfer.receiver()).index();
        let stage = self.stage(transfer.stage);
        let tensors = match transfer.direction {
            Direction::Forward => stage.take_outputs(transfer.microbatch),
            Direction::Backward => stage.take_input_grads(transfer.microbatch),
        };
        if let Some(trace) = &mut run.trace {
            trace.sends(&tensors);
        }
        self.comm.send(tensors, to, Tag::of_send(transfer)).map_err(communication)
    }

    /// Asks for the tensors; the action that computes with them waits for them.
    fn recv(&mut self, run: &Run<'_>, transfer: Transfer) -> Result<(), ActionError> {
        let sent = transfer.counterpart();
        let from = run.program.placement().rank_of(sent.stage).index();
        let posted = self.comm.post_recv(from, Tag::of_send(sent)).map_err(communication)?;
        let tensors = Arriving::Posted { posted, sent };
        let stage = self.stage(transfer.stage);
        match transfer.direction {
            Direction::Forward => stage.receive_inputs(transfer.microbatch, tensors),
            Direction::Backward => stage.receive_output_grads(transfer.microbatch, tensors),
        }
        Ok(())
    }

    /// The tensors that were asked for or are here already.
    fn arrived(&self, run: &mut Run<'_>, tensors: Arriving) -> Result<Vec<Tensor>, ActionError> {
        let (posted, sent) = match tensors {
            Arriving::Here(tensors) => return Ok(tensors),
            Arriving::Posted { posted, sent } => (posted, sent),
        };
        let tensors = self.wait_for(posted, Action::Send(sent))?;
        if let Some(trace) = &mut run.trace {
            trace.arrived(sent, &tensors);
        }
        Ok(tensors)
    }

    /// Waits for a message, which another rank sends by `awaited`.
    pub(super) fn wait_for(
        &self,
        posted: PostedRecv,
        awaited: Action,
    ) -> Result<Vec<Tensor>, ActionError> {
        wait_for(&*self.comm, posted, awaited)
    }
}
