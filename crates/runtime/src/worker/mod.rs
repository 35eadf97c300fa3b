//! The interpreter: one rank runs its row of a valid program, action by action.
//!
//! One arm per action and nothing specific to a schedule: what a schedule does differently is in
//! its program.

mod stage;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use autopipe_nn::Parameters;
use autopipe_schedule::{
    Action, Compute, ComputeOp, Direction, MicroBatch, Rank, Stage, Transfer, ValidProgram,
};
use candle_core::Tensor;

use crate::batch::microbatch;
use crate::communicator::{Reduction, Tag};
use crate::error::FailedAction;
use crate::launch::message_of;
use crate::{ActionError, Batch, Communicator, Error, Failure, StageModel};
use stage::StageRun;

/// The loss of one microbatch: `(outputs of the last stage, target)` to a scalar.
pub type LossFn = Arc<dyn Fn(&[Tensor], &Tensor) -> candle_core::Result<Tensor> + Send + Sync>;

/// What a pipeline runs: a program to train with and one that only goes forward.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Forward and backward.
    pub train: Arc<ValidProgram>,
    /// Forward only, for evaluation; the same stages on the same ranks.
    pub eval: Arc<ValidProgram>,
}

/// What a step brought, the same on every rank but for the outputs.
#[derive(Clone, Debug)]
pub struct StepOutput {
    /// Each microbatch's loss times the batch's loss scale.
    pub losses: Vec<f64>,
    /// The last stage's outputs per microbatch, on the rank that owns it and if they were asked for.
    pub outputs: Option<Vec<Vec<Tensor>>>,
}

impl StepOutput {
    /// The sum of the microbatches' losses.
    pub fn loss(&self) -> f64 {
        self.losses.iter().sum()
    }
}

/// One rank of a pipeline: its stages, its row of the programs and its end of the communicator.
pub struct Worker {
    comm: Box<dyn Communicator>,
    programs: Programs,
    stages: BTreeMap<Stage, StageRun>,
    loss: LossFn,
    /// Divide each step's gradients by its number of microbatches.
    average_microbatches: bool,
    num_steps: usize,
    failed: Option<String>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("rank", &self.comm.rank())
            .field("stages", &self.stages.keys().collect::<Vec<_>>())
            .field("num_steps", &self.num_steps)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// Puts a rank together. `stages` are the ones that the programs give to this rank.
    ///
    /// # Errors
    /// If the programs are for another number of ranks or for other stages.
    pub fn new(
        comm: Box<dyn Communicator>,
        programs: Programs,
        stages: BTreeMap<Stage, Box<dyn StageModel>>,
        loss: LossFn,
        average_microbatches: bool,
    ) -> Result<Self, Error> {
        for program in [&programs.train, &programs.eval] {
            if program.num_ranks() != comm.size() {
                return Err(Error::WrongWorld {
                    program: program.num_ranks(),
                    communicator: comm.size(),
                });
            }
            let expected: Vec<usize> = program
                .placement()
                .stages_of(Rank::new(comm.rank()))
                .iter()
                .map(|stage| stage.index())
                .collect();
            let mut sorted = expected.clone();
            sorted.sort_unstable();
            let got: Vec<usize> = stages.keys().map(|stage| stage.index()).collect();
            if sorted != got {
                return Err(Error::WrongStages { rank: comm.rank(), expected, got });
            }
        }
        let stages = stages.into_iter().map(|(id, model)| (id, StageRun::new(model))).collect();
        Ok(Self { comm, programs, stages, loss, average_microbatches, num_steps: 0, failed: None })
    }

    /// This rank's end of the pipeline's communicator.
    pub fn communicator(&self) -> &dyn Communicator {
        &*self.comm
    }

    /// The programs this rank runs a row of.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The stages of this rank with their parameters, in stage order.
    pub fn stages(&self) -> impl Iterator<Item = (Stage, &Parameters)> {
        self.stages.iter().map(|(&id, stage)| (id, stage.parameters()))
    }

    /// Trains on one batch: runs the training program, adding to the parameters' gradients.
    ///
    /// # Errors
    /// The action of this rank that failed, or the failure of another rank. The pipeline cannot be
    /// used afterwards: the ranks are no longer at the same place.
    pub fn step(&mut self, batch: &Batch) -> Result<StepOutput, Error> {
        let program = Arc::clone(&self.programs.train);
        self.run(&program, batch, false)
    }

    /// Computes the losses of one batch, and the last stage's outputs if `keep_outputs`; no
    /// gradient changes.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn eval(&mut self, batch: &Batch, keep_outputs: bool) -> Result<StepOutput, Error> {
        let program = Arc::clone(&self.programs.eval);
        self.run(&program, batch, keep_outputs)
    }

    fn run(
        &mut self,
        program: &ValidProgram,
        batch: &Batch,
        keep_outputs: bool,
    ) -> Result<StepOutput, Error> {
        if let Some(failure) = &self.failed {
            return Err(Error::Unusable(failure.clone()));
        }
        // Every rank sees the same batch, so all refuse it together and nothing is lost.
        batch.check(program.num_microbatches())?;
        let step = self.num_steps;
        self.num_steps += 1;
        let result = self.run_actions(program, batch, keep_outputs, step);
        if let Err(error) = &result {
            self.failed = Some(error.to_string());
            for stage in self.stages.values_mut() {
                stage.clear();
            }
        }
        result
    }

    fn run_actions(
        &mut self,
        program: &ValidProgram,
        batch: &Batch,
        keep_outputs: bool,
        step: usize,
    ) -> Result<StepOutput, Error> {
        let mut run =
            Run { program, batch, keep_outputs, losses: BTreeMap::new(), outputs: BTreeMap::new() };
        for &action in program.row(Rank::new(self.comm.rank())) {
            self.comm.check()?;
            // A stage that panics has left no lock and no shared state half-changed that anyone
            // looks at again: the worker refuses every later step.
            let done = catch_unwind(AssertUnwindSafe(|| self.run_action(&mut run, action)))
                .unwrap_or_else(|panic| Err(ActionError::Panic(message_of(&*panic))));
            done.map_err(|source| self.failure(step, action, source))?;
        }
        self.finish(run)
    }

    /// Tells the world why this rank fails, unless it only repeats another's failure.
    fn failure(&self, step: usize, action: Action, source: ActionError) -> Error {
        if let ActionError::Communication(error) = source {
            match *error {
                stopped @ Error::Stopped(_) => return stopped,
                other => {
                    return self.failure_of(
                        step,
                        action,
                        ActionError::Communication(Box::new(other)),
                    );
                }
            }
        }
        self.failure_of(step, action, source)
    }

    fn failure_of(&self, step: usize, action: Action, source: ActionError) -> Error {
        let rank = self.comm.world_rank();
        let at = FailedAction { step, action };
        self.comm.abort(Failure { rank, at: Some(at), cause: source.to_string() });
        Error::Action { rank, at, source }
    }

    fn run_action(&mut self, run: &mut Run<'_>, action: Action) -> Result<(), ActionError> {
        match action {
            Action::Compute(Compute { op: ComputeOp::Forward, stage, microbatch }) => {
                self.forward(run, stage, microbatch)
            }
            Action::Compute(Compute { op: ComputeOp::Backward, stage, microbatch }) => {
                self.backward_input(run, stage, microbatch)?;
                self.stage(stage).backward_weight(microbatch)
            }
            Action::Compute(Compute { op: ComputeOp::BackwardInput, stage, microbatch }) => {
                self.backward_input(run, stage, microbatch)
            }
            Action::Compute(Compute { op: ComputeOp::BackwardWeight, stage, microbatch }) => {
                self.stage(stage).backward_weight(microbatch)
            }
            Action::Send(transfer) => self.send(run, transfer),
            Action::Recv(transfer) => self.recv(run, transfer),
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
            Some(run.batch.inputs.iter().map(slice).collect::<Result<_, _>>()?)
        } else {
            None
        };
        let outputs = self.stage(id).forward(index, inputs, train)?;
        if !is_last {
            if let Some(next) = self.local(run.program, id.index() + 1) {
                let outputs = self.stage(id).take_outputs(index);
                self.stage(next).receive_inputs(index, outputs);
            }
            return Ok(());
        }
        let target = slice(run.batch.target.as_ref().ok_or(ActionError::NoTarget)?)?;
        let mut scale = run.batch.loss_scale;
        let loss = (self.loss)(&outputs, &target)?;
        run.losses.insert(index, (loss.detach() * scale)?);
        if run.keep_outputs {
            run.outputs.insert(index, outputs.iter().map(Tensor::detach).collect());
        }
        if self.average_microbatches {
            #[expect(clippy::cast_precision_loss, reason = "microbatches are counted in 32 bits")]
            let num_microbatches = run.program.num_microbatches() as f64;
            scale /= num_microbatches;
        }
        self.stage(id).set_loss(index, &loss, scale, train)
    }

    fn backward_input(
        &mut self,
        run: &Run<'_>,
        id: Stage,
        index: MicroBatch,
    ) -> Result<(), ActionError> {
        self.stage(id).backward_input(index)?;
        let Some(former) = id.index().checked_sub(1) else {
            // The batch's own gradient is nobody's.
            drop(self.stage(id).take_input_grads(index));
            return Ok(());
        };
        if let Some(former) = self.local(run.program, former) {
            let grads = self.stage(id).take_input_grads(index);
            self.stage(former).receive_output_grads(index, grads);
        }
        Ok(())
    }

    /// The stage of this index if it is on this rank: then tensors change hands without a message.
    fn local(&self, program: &ValidProgram, index: usize) -> Option<Stage> {
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

    fn recv(&mut self, run: &Run<'_>, transfer: Transfer) -> Result<(), ActionError> {
        let sent = transfer.counterpart();
        let from = run.program.placement().rank_of(sent.stage).index();
        let tensors = self.comm.recv(from, Tag::of_send(sent)).map_err(communication)?;
        let stage = self.stage(transfer.stage);
        match transfer.direction {
            Direction::Forward => stage.receive_inputs(transfer.microbatch, tensors),
            Direction::Backward => stage.receive_output_grads(transfer.microbatch, tensors),
        }
        Ok(())
    }

    /// Brings the losses from the rank that computed them to all.
    fn finish(&self, run: Run<'_>) -> Result<StepOutput, Error> {
        let mut losses = vec![0.0; run.program.num_microbatches()];
        for (index, loss) in &run.losses {
            losses[index.index()] = scalar(loss).map_err(|source| {
                let rank = self.comm.world_rank();
                let error = Error::Loss { rank, microbatch: index.index(), source };
                self.comm.abort(Failure { rank, at: None, cause: error.to_string() });
                error
            })?;
        }
        let losses = self.comm.all_reduce(&losses, Reduction::Sum)?;
        let owns_last = !run.losses.is_empty();
        let outputs = (run.keep_outputs && owns_last).then(|| run.outputs.into_values().collect());
        Ok(StepOutput { losses, outputs })
    }
}

/// What one run of a program gathers.
struct Run<'a> {
    program: &'a ValidProgram,
    batch: &'a Batch,
    keep_outputs: bool,
    losses: BTreeMap<MicroBatch, Tensor>,
    outputs: BTreeMap<MicroBatch, Vec<Tensor>>,
}

fn communication(error: Error) -> ActionError {
    ActionError::Communication(Box::new(error))
}

fn scalar(tensor: &Tensor) -> candle_core::Result<f64> {
    tensor.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()
}
