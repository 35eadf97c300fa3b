//! The interpreter: one rank runs its row of a valid program, action by action.
//!
//! Nothing here is specific to a schedule: what a schedule does differently is in its program.

mod arriving;
mod compute;
mod failure;
mod guard;
mod interpret;
mod live;
mod outcome;
mod overlap;
mod owned;
mod parts;
mod recover;
mod replicas;
mod shards;
mod stage;
mod tensor_parallel;
mod ties;
mod trace;
mod vote;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use autopipe_nn::{Parameter, Parameters};
use autopipe_schedule::{Action, ComputeOp, MicroBatch, Rank, Stage, ValidProgram};

use crate::batch::{Needs, Purpose};
use crate::error::communication;
use crate::{Batch, Communicator, Error, Place, StageModel, StepPart};
use failure::Failed;
use interpret::Run;
use replicas::Synced;
use stage::{Grads, StageRun};
use ties::Tied;
use trace::Trace;
use vote::{Agreed, Kind};

pub use guard::Guard;
pub use parts::{LossFn, Outputs, Programs, StepOptions, StepOutput, WorkerParts};
pub use recover::Recovered;
pub use replicas::Replicas;
pub use shards::Sharded;
pub use tensor_parallel::TensorParallel;
pub use ties::Tie;

/// One rank of a pipeline: its stages, its row of the programs and its end of the communicator.
pub struct Worker {
    comm: Box<dyn Communicator>,
    programs: Programs,
    stages: BTreeMap<Stage, StageRun>,
    loss: LossFn,
    scale_grads: bool,
    /// The pairs of stage and microbatch that keep their inputs only until their R.
    recomputed: BTreeSet<(Stage, MicroBatch)>,
    /// By the number of their group.
    ties: BTreeMap<u16, Tied>,
    replicas: Option<Synced>,
    tensor_parallel: Option<Arc<TensorParallel>>,
    guard: Guard,
    /// The sequence length that batches are held to, if any.
    seq_len: Option<usize>,
    num_steps: usize,
    /// What kinds of steps it has taken to their end.
    known: BTreeSet<Kind>,
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
    /// If the programs are for another number of ranks or for other stages, have an action that a
    /// rank cannot run, sum other gradients than those of the tied parameters, do not sum those of
    /// a stage over its replicas, or do not gather parameters that are shared out.
    pub fn new(comm: Box<dyn Communicator>, parts: WorkerParts) -> Result<Self, Error> {
        let WorkerParts {
            programs,
            stages,
            routes,
            ties,
            replicas,
            sharded,
            tensor_parallel,
            trained_from,
            loss,
            scale_grads,
            guard,
        } = parts;
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
        let parameters = |id| stages.get(&id).map(|stage| stage.parameters());
        ties::check(&[], eval)?;
        let ties = Tied::of_rank(&ties, train, comm.rank(), parameters)?;
        let tied: Vec<Parameter> = ties.values().flat_map(Tied::parameters).cloned().collect();
        let route = |id: Stage| routes.as_ref().map(|routes| routes.stages()[id.index()].clone());
        check_trained(trained_from, train, &stages)?;
        let replicas = if replicas.is_some() || sharded.is_some() {
            let stages = stages.iter().map(|(&id, stage)| (id, stage.parameters()));
            Some(Synced::new(replicas, sharded, &programs, stages, tied)?)
        } else {
            None
        };
        let grads = |id: Stage| match id.cmp(&trained_from) {
            Ordering::Less => Grads::None,
            Ordering::Equal => Grads::OfWeights,
            Ordering::Greater => Grads::OfAll,
        };
        let stages = stages
            .into_iter()
            .map(|(id, model)| (id, StageRun::new(model, route(id), grads(id))))
            .collect();
        let recomputed = recomputed(&programs.train);
        Ok(Self {
            comm,
            programs,
            stages,
            loss,
            scale_grads,
            ties,
            replicas,
            tensor_parallel,
            guard,
            recomputed,
            seq_len: None,
            num_steps: 0,
            known: BTreeSet::new(),
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

    /// The stages of this rank with their parameters, in stage order. Those that are shared out
    /// ([`Sharded`]) are released between steps: [`owned`](Self::owned) has what this rank keeps.
    pub fn stages(&self) -> impl Iterator<Item = (Stage, &Parameters)> {
        self.stages.iter().map(|(&id, stage)| (id, stage.parameters()))
    }

    /// The sequence length, dimension 1 of the first input, that batches are held to; without any
    /// they may differ. A batch of another is refused on all ranks.
    pub fn set_seq_len(&mut self, seq_len: Option<usize>) {
        self.seq_len = seq_len;
    }

    /// The sequence length that batches are held to, if any.
    pub fn seq_len(&self) -> Option<usize> {
        self.seq_len
    }

    /// Trains on one batch: runs the training program, adding to the parameters' gradients.
    ///
    /// # Errors
    /// The action of this rank that failed, or the failure of another rank. The ranks are then no
    /// longer at the same place, and every step is refused until all [`recover`](Self::recover).
    /// If a rank refuses its batch, or is asked for something else than the others, all ranks say so
    /// and nothing has happened.
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
        let Agreed { rows, has_sums, .. } = self.agree(program, batch, options)?;
        let step = self.num_steps;
        self.num_steps += 1;
        let run = Run { has_sums, ..Run::new(program, batch, rows, options.outputs) };
        let result = self.run_actions(run, options, step);
        let kind = Kind::of(program, batch);
        match &result {
            // What comes after the last step of a batch, it has yet to do.
            Ok(_) if kind.purpose == Purpose::Training && options.more_to_come => {}
            Ok(_) => drop(self.known.insert(kind)),
            Err(error) => self.note_failure(error, program.has_backward()),
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
            seq_len: self.seq_len,
            keywords: self.stages.iter().map(|(&id, stage)| (id, stage.keywords())).collect(),
        }
    }

    fn run_actions(
        &mut self,
        mut run: Run<'_>,
        options: StepOptions,
        step: usize,
    ) -> Result<StepOutput, Error> {
        let at = |part| Place { step, part };
        let program = run.program;
        let trains = program.has_backward();
        tracing::debug!(step, trains, measure = options.measure, "a step of the pipeline begins");
        if options.measure {
            self.guarded(at(StepPart::Start), |rank| rank.comm.barrier().map_err(communication))?;
            run.trace = Some(Trace::start());
        }
        if trains {
            if let Some(replicas) = &mut self.replicas {
                replicas.begin_step(options.more_to_come, run.has_sums);
            }
            self.ties.values_mut().for_each(Tied::begin_step);
        }
        for &action in program.row(Rank::new(self.comm.rank())) {
            tracing::trace!(step, %action);
            self.guarded(at(StepPart::Action(action)), |rank| {
                rank.comm.check().map_err(communication)?;
                // What is given up now makes room for what a sum brings.
                if !matches!(action, Action::Reshard(_)) {
                    rank.advance_sums()?;
                }
                rank.run_action(&mut run, action)
            })?;
        }
        let outputs = self.guarded(at(StepPart::Outputs), |rank| rank.outputs(&mut run))?;
        let spans = run.trace.take().map(Trace::into_spans);
        let timeline = self.guarded(at(StepPart::Times), |rank| {
            spans.map(|spans| rank.gather_spans(program, &spans)).transpose()
        })?;
        // Last: this ends on all ranks or on none, and with it the step.
        let losses = self.guarded(at(StepPart::Losses), |rank| rank.losses(&run))?;
        if let (true, Some(replicas)) = (trains, &mut self.replicas) {
            replicas.end_step();
        }
        tracing::debug!(step, "a step of the pipeline is done");
        Ok(StepOutput { losses, outputs, timeline })
    }
}

/// Checks that there is a stage to train, and that no parameter before it would be forgotten.
fn check_trained(
    trained_from: Stage,
    program: &ValidProgram,
    stages: &BTreeMap<Stage, Box<dyn StageModel>>,
) -> Result<(), Error> {
    let (from, num_stages) = (trained_from.index(), program.num_stages());
    if from >= num_stages {
        return Err(Error::TrainedFrom { from, num_stages });
    }
    for (stage, model) in stages.range(..trained_from) {
        if let Some(parameter) = model.parameters().iter().find(|p| p.is_trainable()) {
            let (stage, parameter) = (stage.index(), parameter.name().to_owned());
            return Err(Error::NotTrained { stage, parameter, from });
        }
    }
    Ok(())
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
        | Action::WaitReduceGrad(_)
        | Action::ReduceTied { .. } => true,
        Action::OptimizerStep(_) => false,
    }
}

/// The pairs of stage and microbatch whose activations a program computes again.
fn recomputed(program: &ValidProgram) -> BTreeSet<(Stage, MicroBatch)> {
    let computes = program.rows().iter().flatten().flat_map(|action| action.computes());
    let again = computes.filter(|compute| compute.op == ComputeOp::Recompute);
    again.map(|compute| (compute.stage, compute.microbatch)).collect()
}
