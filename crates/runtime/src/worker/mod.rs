//! The interpreter: one rank runs its row of a valid program, action by action.
//!
//! Nothing here is specific to a schedule: what a schedule does differently is in its program.

mod arriving;
mod compute;
mod interpret;
mod live;
mod outcome;
mod overlap;
mod parts;
mod stage;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use autopipe_nn::Parameters;
use autopipe_schedule::{Action, ComputeOp, MicroBatch, Rank, Stage, ValidProgram};

use crate::batch::Needs;
use crate::error::FailedAction;
use crate::launch::message_of;
use crate::{ActionError, Batch, Communicator, Error, Failure};
use interpret::Run;
use stage::StageRun;
use trace::Trace;

pub use parts::{LossFn, Outputs, Programs, StepOptions, StepOutput, WorkerParts};

/// One rank of a pipeline: its stages, its row of the programs and its end of the communicator.
pub struct Worker {
    comm: Box<dyn Communicator>,
    programs: Programs,
    stages: BTreeMap<Stage, StageRun>,
    loss: LossFn,
    scale_grads: bool,
    /// The pairs of stage and microbatch that keep their inputs only until their R.
    recomputed: BTreeSet<(Stage, MicroBatch)>,
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
    /// Puts a rank together; `comm` is its end of the pipeline's ranks.
    ///
    /// # Errors
    /// If the programs are for another number of ranks or for other stages, or have an action that
    /// a rank cannot run.
    pub fn new(comm: Box<dyn Communicator>, parts: WorkerParts) -> Result<Self, Error> {
        let WorkerParts { programs, stages, routes, loss, scale_grads } = parts;
        let (train, eval) = (&programs.train, &programs.eval);
        let (backward, forward) = (train.has_backward(), !eval.has_backward());
        if !backward || !forward || train.num_microbatches() != eval.num_microbatches() {
            return Err(Error::WrongPrograms {
                train: train.num_microbatches(),
                backward,
                eval: eval.num_microbatches(),
                forward,
            });
        }
        for program in [&programs.train, &programs.eval] {
            if program.num_ranks() != comm.size() {
                return Err(Error::WrongWorld {
                    program: program.num_ranks(),
                    communicator: comm.size(),
                });
            }
            if let Some(&action) = program.rows().iter().flatten().find(|&&a| !can_run(a)) {
                return Err(Error::CannotRun { action });
            }
            let mine = program.placement().stages_of(Rank::new(comm.rank()));
            let mut expected: Vec<usize> = mine.iter().map(|stage| stage.index()).collect();
            expected.sort_unstable();
            let got: Vec<usize> = stages.keys().map(|stage| stage.index()).collect();
            if expected != got {
                return Err(Error::WrongStages { rank: comm.rank(), expected, got });
            }
        }
        // Where tensors only go from one stage to the next, a model's word counts alone.
        let routes = routes.filter(|routes| !routes.is_plain());
        if let Some(routes) = &routes
            && routes.stages().len() != train.num_stages()
        {
            let (routes, stages) = (routes.stages().len(), train.num_stages());
            return Err(Error::WrongRoutes { routes, stages });
        }
        let route = |id: Stage| routes.as_ref().map(|routes| routes.stages()[id.index()].clone());
        let stages =
            stages.into_iter().map(|(id, model)| (id, StageRun::new(model, route(id)))).collect();
        let recomputed = recomputed(&programs.train);
        Ok(Self {
            comm,
            programs,
            stages,
            loss,
            scale_grads,
            recomputed,
            num_steps: 0,
            failed: None,
        })
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
        self.step_with(batch, StepOptions::default())
    }

    /// As [`step`](Self::step), and brings what else is asked for. All ranks have to ask for the
    /// same.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn step_with(&mut self, batch: &Batch, options: StepOptions) -> Result<StepOutput, Error> {
        let program = Arc::clone(&self.programs.train);
        self.run(&program, batch, options)
    }

    /// Computes the losses of one batch; no gradient changes.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn eval(&mut self, batch: &Batch) -> Result<StepOutput, Error> {
        self.eval_with(batch, StepOptions::default())
    }

    /// As [`eval`](Self::eval), and brings what else is asked for. All ranks have to ask for the
    /// same.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn eval_with(&mut self, batch: &Batch, options: StepOptions) -> Result<StepOutput, Error> {
        let program = Arc::clone(&self.programs.eval);
        self.run(&program, batch, options)
    }

    fn run(
        &mut self,
        program: &ValidProgram,
        batch: &Batch,
        options: StepOptions,
    ) -> Result<StepOutput, Error> {
        if let Some(failure) = &self.failed {
            return Err(Error::Unusable(failure.clone()));
        }
        // Nothing has happened yet: a refused batch loses nothing.
        batch.check(&self.needs(program))?;
        let step = self.num_steps;
        self.num_steps += 1;
        let result = self.run_actions(program, batch, options, step);
        if let Err(error) = &result {
            self.failed = Some(error.to_string());
            for stage in self.stages.values_mut() {
                stage.clear();
            }
        }
        result
    }

    /// What this rank takes of a batch.
    fn needs(&self, program: &ValidProgram) -> Needs<'_> {
        let owns = |stage| self.local(program, stage).is_some();
        Needs {
            num_microbatches: program.num_microbatches(),
            inputs: owns(0),
            target: owns(program.num_stages() - 1),
            keywords: self.stages.iter().map(|(&id, stage)| (id, stage.keywords())).collect(),
        }
    }

    fn run_actions(
        &mut self,
        program: &ValidProgram,
        batch: &Batch,
        options: StepOptions,
        step: usize,
    ) -> Result<StepOutput, Error> {
        let mut run = Run::new(program, batch, options.outputs);
        if options.measure {
            self.comm.barrier()?;
            run.trace = Some(Trace::start());
        }
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
        if let ActionError::Communication(error) = &source
            && let Error::Stopped(failure) = &**error
        {
            return Error::Stopped(failure.clone());
        }
        let rank = self.comm.world_rank();
        let at = FailedAction { step, action };
        self.comm.abort(Failure { rank, at: Some(at), cause: source.to_string() });
        Error::Action { rank, at, source }
    }
}

/// Whether a rank knows how to do an action.
fn can_run(action: Action) -> bool {
    match action {
        Action::Compute(_)
        | Action::Overlap(_)
        | Action::Send(_)
        | Action::Recv(_)
        | Action::WaitSend(_)
        | Action::Unshard(_)
        | Action::Reshard(_)
        | Action::ReduceGrad(_)
        | Action::WaitReduceGrad(_) => true,
        Action::ReduceTied { .. } | Action::OptimizerStep(_) => false,
    }
}

/// The pairs of stage and microbatch whose activations a program computes again.
fn recomputed(program: &ValidProgram) -> BTreeSet<(Stage, MicroBatch)> {
    let computes = program.rows().iter().flatten().flat_map(|action| action.computes());
    let again = computes.filter(|compute| compute.op == ComputeOp::Recompute);
    again.map(|compute| (compute.stage, compute.microbatch)).collect()
}
