//! One arm per action: what each does with the stages of its rank.

use std::collections::BTreeMap;

use autopipe_schedule::{
    Action, Compute, ComputeOp, Direction, MicroBatch, Stage, Transfer, ValidProgram,
};
use candle_core::Tensor;

use super::stage::{Arriving, Inputs, StageRun};
use super::trace::Trace;
use super::{StepOutput, Worker};
use crate::batch::microbatch;
use crate::communicator::{Reduction, Tag};
use crate::{ActionError, Batch, Error};

/// What becomes of the last stage's outputs when their loss is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outputs {
    Keep,
    Drop,
}

/// Whether somebody wants to know when the actions happen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    Measure,
    Ignore,
}

/// What a run is to bring besides losses.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) outputs: Outputs,
    pub(super) times: Times,
}

/// What one run of a program gathers.
pub(super) struct Run<'a> {
    program: &'a ValidProgram,
    batch: &'a Batch,
    wanted: Outputs,
    losses: BTreeMap<MicroBatch, Tensor>,
    outputs: BTreeMap<MicroBatch, Vec<Tensor>>,
    /// Notes when things happen, if somebody wants to know.
    pub(super) trace: Option<Trace>,
}

impl<'a> Run<'a> {
    pub(super) fn new(program: &'a ValidProgram, batch: &'a Batch, wanted: Outputs) -> Self {
        let (losses, outputs) = (BTreeMap::new(), BTreeMap::new());
        Self { program, batch, wanted, losses, outputs, trace: None }
    }
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
            // One after the other, as torch does it: a rank has one stream of work.
            Action::Overlap(overlap) => {
                self.compute(run, overlap.forward())?;
                self.compute(run, overlap.backward())
            }
            Action::Send(transfer) => self.send(run, transfer),
            Action::Recv(transfer) => self.recv(run, transfer),
            // A communicator takes what is sent at once and frees it when it is through.
            Action::WaitSend(_) => Ok(()),
            Action::Unshard(_)
            | Action::Reshard(_)
            | Action::ReduceGrad(_)
            | Action::WaitReduceGrad(_)
            | Action::ReduceTied { .. }
            | Action::OptimizerStep(_) => unreachable!("refused by `new`: {action}"),
        }
    }

    fn compute(&mut self, run: &mut Run<'_>, compute: Compute) -> Result<(), ActionError> {
        let Compute { op, stage, microbatch } = compute;
        match op {
            ComputeOp::Forward => self.forward(run, stage, microbatch),
            ComputeOp::Backward => {
                self.backward_input(run, stage, microbatch)?;
                self.stage(stage).backward_weight(microbatch)
            }
            ComputeOp::BackwardInput => self.backward_input(run, stage, microbatch),
            ComputeOp::BackwardWeight => self.stage(stage).backward_weight(microbatch),
            ComputeOp::Recompute => unreachable!("refused by `new`: {compute}"),
        }
    }

    fn stage(&mut self, stage: Stage) -> &mut StageRun {
        self.stages.get_mut(&stage).expect("checked by `new`: this rank owns the stages of its row")
    }

    fn forward(
        &mut self,
        run: &mut Run<'_>,
        id: Stage,
        index: MicroBatch,
    ) -> Result<(), ActionError> {
        let train = run.program.has_backward();
        let (is_first, is_last) = (id.index() == 0, id.index() + 1 == run.program.num_stages());
        let slice =
            |tensor: &Tensor| microbatch(tensor, run.program.num_microbatches(), index.index());
        let inputs = if is_first {
            Inputs::Batch(run.batch.inputs.iter().map(slice).collect::<Result<_, _>>()?)
        } else {
            let arriving = self.stage(id).take_inputs(index);
            Inputs::Received(self.arrived(run, arriving)?)
        };
        let outputs = self.stage(id).forward(index, inputs, train)?;
        self.guard.outputs(id, index, &outputs)?;
        if !is_last {
            if let Some(next) = self.local(run.program, id.index() + 1) {
                let outputs = self.stage(id).take_outputs(index);
                self.stage(next).receive_inputs(index, Arriving::Here(outputs));
            }
            return Ok(());
        }
        let target = slice(run.batch.target.as_ref().expect("checked: the last stage has it"))?;
        let mut scale = run.batch.loss_scale;
        let loss = (self.loss)(&outputs, &target)?;
        let scaled = (loss.detach() * scale)?;
        self.guard.loss(index, &scaled)?;
        run.losses.insert(index, scaled);
        if run.wanted == Outputs::Keep {
            run.outputs.insert(index, outputs.iter().map(Tensor::detach).collect());
        }
        if self.scale_grads {
            #[expect(clippy::cast_precision_loss, reason = "microbatches are counted in 32 bits")]
            let num_microbatches = run.program.num_microbatches() as f64;
            scale /= num_microbatches;
        }
        self.stage(id).set_loss(index, &loss, scale, train)
    }

    fn backward_input(
        &mut self,
        run: &mut Run<'_>,
        id: Stage,
        index: MicroBatch,
    ) -> Result<(), ActionError> {
        let arriving = self.stage(id).take_output_grads(index);
        let grads = self.arrived(run, arriving)?;
        self.stage(id).backward_input(index, &grads)?;
        self.guard.input_grads(id, index, self.stages[&id].input_grads(index))?;
        let Some(former) = id.index().checked_sub(1) else {
            // The batch's own gradient is nobody's.
            drop(self.stage(id).take_input_grads(index));
            return Ok(());
        };
        if let Some(former) = self.local(run.program, former) {
            let grads = self.stage(id).take_input_grads(index);
            self.stage(former).receive_output_grads(index, Arriving::Here(grads));
        }
        Ok(())
    }

    /// The stage of this index if it is on this rank: then tensors change hands without a message.
    pub(super) fn local(&self, program: &ValidProgram, index: usize) -> Option<Stage> {
        let stage = Stage::new(index);
        (program.placement().rank_of(stage).index() == self.comm.rank()).then_some(stage)
    }

    fn send(&mut self, run: &Run<'_>, transfer: Transfer) -> Result<(), ActionError> {
        let to = run.program.placement().rank_of(transfer.receiver()).index();
        let stage = self.stage(transfer.stage);
        let tensors = match transfer.direction {
            Direction::Forward => stage.take_outputs(transfer.microbatch),
            Direction::Backward => stage.take_input_grads(transfer.microbatch),
        };
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
        let tensors = self.comm.wait(posted).map_err(|error| match error {
            Error::Timeout { from, waited } => ActionError::Late {
                awaited: Action::Send(sent),
                rank: self.comm.members()[from],
                waited,
            },
            other => communication(other),
        })?;
        if let Some(trace) = &mut run.trace {
            trace.arrived(sent);
        }
        Ok(tensors)
    }

    /// Brings the losses from the rank that computed them to all.
    pub(super) fn finish(&self, run: Run<'_>) -> Result<StepOutput, ActionError> {
        let mut losses = vec![0.0; run.program.num_microbatches()];
        for (index, loss) in &run.losses {
            losses[index.index()] = scalar(loss).map_err(|source| ActionError::Loss {
                microbatch: index.index(),
                source: Box::new(source),
            })?;
        }
        let losses = self.comm.all_reduce(&losses, Reduction::Sum).map_err(communication)?;
        let owns_last = !run.losses.is_empty();
        let is_kept = run.wanted == Outputs::Keep && owns_last;
        let outputs = is_kept.then(|| run.outputs.into_values().collect());
        Ok(StepOutput { losses, outputs })
    }
}

pub(super) fn communication(error: Error) -> ActionError {
    ActionError::Communication(Box::new(error))
}

pub(super) fn scalar(tensor: &Tensor) -> candle_core::Result<f64> {
    tensor.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()
}
