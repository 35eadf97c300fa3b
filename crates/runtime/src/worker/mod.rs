//! The interpreter: one rank runs its row of a valid program, action by action.
//!
//! Nothing here is specific to a schedule: what a schedule does differently is in its program.

mod failure;
mod guard;
mod interpret;
mod parts;
mod recover;
mod stage;
mod trace;
mod vote;

use std::collections::BTreeMap;
use std::sync::Arc;

use autopipe_nn::Parameters;
use autopipe_schedule::{Action, ComputeOp, Rank, Span, Stage, Timeline, ValidProgram};

use crate::communicator::Reduction;
use crate::{ActionError, Batch, Communicator, Error, Place, StepPart};
use failure::Failed;
use interpret::{Outputs, Run, Times, Wanted, communication};
use stage::StageRun;
use trace::Trace;

pub use guard::Guard;
pub use parts::{LossFn, Programs, StepOutput, WorkerParts};
pub use recover::Recovered;

/// One rank of a pipeline: its stages, its row of the programs and its end of the communicator.
pub struct Worker {
    comm: Box<dyn Communicator>,
    programs: Programs,
    stages: BTreeMap<Stage, StageRun>,
    loss: LossFn,
    scale_grads: bool,
    guard: Guard,
    num_steps: usize,
    failed: Option<Failed>,
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
        let WorkerParts { programs, stages, routes, loss, scale_grads, guard } = parts;
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
        Ok(Self { comm, programs, stages, loss, scale_grads, guard, num_steps: 0, failed: None })
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
    /// The action of this rank that failed, or the failure of another rank. The ranks are then no
    /// longer at the same place, and every step is refused until all [`recover`](Self::recover).
    /// If a rank refuses its batch, or is asked for something else than the others, all ranks say so
    /// and nothing has happened.
    pub fn step(&mut self, batch: &Batch) -> Result<StepOutput, Error> {
        let program = Arc::clone(&self.programs.train);
        let wanted = Wanted { outputs: Outputs::Drop, times: Times::Ignore };
        self.run(&program, batch, wanted).map(|(output, _)| output)
    }

    /// As [`step`](Self::step), and measures: when every action of every rank happened, in the type
    /// in which the simulator predicts it and in seconds since the ranks met at the beginning of the
    /// step. All ranks have to call it, and all get the same.
    ///
    /// A computation starts when its tensors are there; a receive ends when the computation that
    /// waits for it has them. After each computation the device is waited for, so that on a GPU a
    /// measured step takes somewhat longer.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn step_measured(&mut self, batch: &Batch) -> Result<(StepOutput, Timeline), Error> {
        let program = Arc::clone(&self.programs.train);
        let wanted = Wanted { outputs: Outputs::Drop, times: Times::Measure };
        let (output, spans) = self.run(&program, batch, wanted)?;
        let at = Place { step: self.num_steps - 1, part: StepPart::Times };
        let timeline = self.guarded(at, |rank| rank.gather(&program, &spans));
        Ok((output, timeline.inspect_err(|error| self.note_failure(error, true))?))
    }

    /// Puts the rows of all ranks together. Who did what, the program says: times are enough.
    fn gather(&self, program: &ValidProgram, spans: &[Span]) -> Result<Timeline, ActionError> {
        let own = self.comm.rank();
        let mut times = Vec::new();
        for (rank, row) in program.rows().iter().enumerate() {
            if rank == own {
                times.extend(spans.iter().flat_map(|span| [span.start, span.end]));
            } else {
                times.resize(times.len() + 2 * row.len(), 0.0);
            }
        }
        let times = self.comm.all_reduce(&times, Reduction::Sum).map_err(communication)?;
        let mut times = times.chunks_exact(2);
        let span = |&action: &Action| {
            let time = times.next().expect("two times for every action");
            Span { action, start: time[0], end: time[1] }
        };
        let mut spans = program.rows().iter().flatten().map(span);
        let rows = program.rows().iter().map(|row| spans.by_ref().take(row.len()).collect());
        Ok(Timeline::from_rows(rows.collect())
            .expect("measured: a whole step, one action at a time"))
    }

    /// Computes the losses of one batch; no gradient changes.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn eval(&mut self, batch: &Batch) -> Result<StepOutput, Error> {
        let program = Arc::clone(&self.programs.eval);
        let wanted = Wanted { outputs: Outputs::Drop, times: Times::Ignore };
        self.run(&program, batch, wanted).map(|(output, _)| output)
    }

    /// As [`eval`](Self::eval), and keeps the last stage's outputs on the rank that owns it.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn eval_with_outputs(&mut self, batch: &Batch) -> Result<StepOutput, Error> {
        let program = Arc::clone(&self.programs.eval);
        let wanted = Wanted { outputs: Outputs::Keep, times: Times::Ignore };
        self.run(&program, batch, wanted).map(|(output, _)| output)
    }

    fn run(
        &mut self,
        program: &ValidProgram,
        batch: &Batch,
        wanted: Wanted,
    ) -> Result<(StepOutput, Vec<Span>), Error> {
        self.agree(program, batch, wanted)?;
        let step = self.num_steps;
        self.num_steps += 1;
        let result = self.run_actions(program, batch, wanted, step);
        if let Err(error) = &result {
            self.note_failure(error, program.has_backward());
        }
        result
    }

    fn run_actions(
        &mut self,
        program: &ValidProgram,
        batch: &Batch,
        wanted: Wanted,
        step: usize,
    ) -> Result<(StepOutput, Vec<Span>), Error> {
        let at = |part| Place { step, part };
        let mut run = Run::new(program, batch, wanted.outputs);
        if wanted.times == Times::Measure {
            self.guarded(at(StepPart::Start), |rank| rank.comm.barrier().map_err(communication))?;
            run.trace = Some(Trace::start());
        }
        for &action in program.row(Rank::new(self.comm.rank())) {
            self.guarded(at(StepPart::Action(action)), |rank| {
                rank.comm.check().map_err(communication)?;
                rank.run_action(&mut run, action)
            })?;
        }
        let spans = run.trace.take().map_or_else(Vec::new, Trace::into_spans);
        Ok((self.guarded(at(StepPart::Losses), |rank| rank.finish(run))?, spans))
    }
}

/// Whether a rank knows how to do an action.
fn can_run(action: Action) -> bool {
    match action {
        Action::Compute(compute) => match compute.op {
            ComputeOp::Forward
            | ComputeOp::Backward
            | ComputeOp::BackwardInput
            | ComputeOp::BackwardWeight => true,
            ComputeOp::Recompute => false,
        },
        Action::Overlap(_) | Action::Send(_) | Action::Recv(_) | Action::WaitSend(_) => true,
        Action::Unshard(_)
        | Action::Reshard(_)
        | Action::ReduceGrad(_)
        | Action::WaitReduceGrad(_)
        | Action::ReduceTied { .. }
        | Action::OptimizerStep(_) => false,
    }
}
