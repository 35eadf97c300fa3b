//! One rank's run: steps of the pipeline and of the optimiser on its own parameters, evaluations and
//! checkpoints in between.

mod evaluate;
mod parts;
mod reporter;
mod save;
mod step;
mod vote;

use autopipe::nccl::{self, NcclOptions};
use autopipe::schedule::Timeline;
use autopipe::{AutoPipeline, Axis, Communicator, Guard, PipelineArgs};
use autopipe_nn::Parameter;
use autopipe_nn::optim::Optimizer;

use super::Finished;
use super::job::Job;
use super::optimizer::optimizer_of;
use crate::data::{Evaluation, Reader};
use crate::state::{Best, TrainingState};
use crate::{Error, EvalRecord, Event, Stopwatch, peak_memory};
use parts::args;
pub(crate) use parts::{loss_fn, pipeline};
use reporter::Reporter;
use save::Pending;

/// Why all ranks end the run together, at the same place.
#[derive(Debug)]
pub(super) struct Ended {
    /// Whose problem it is.
    rank: usize,
    /// On that rank its own error.
    error: Error,
}

/// What one rank trains with.
pub(super) struct RankRun<'a> {
    job: &'a Job<'a>,
    pipeline: AutoPipeline,
    optimizer: Optimizer,
    /// The batches of each step.
    windows: Reader,
    evaluation: Option<Evaluation>,
    /// Where the run stands; the same on every rank.
    state: TrainingState,
    /// The best evaluation before the one that `state` has: it is that again if the checkpoint of the
    /// new one cannot be written.
    former_best: Option<Best>,
    /// A checkpoint that is being written.
    pending: Option<Pending>,
    /// On rank 0, who tells of the run.
    reporter: Option<Reporter<'a>>,
    stopwatch: Stopwatch,
}

impl<'a> RankRun<'a> {
    pub(super) fn new(
        job: &'a Job<'a>,
        world: Box<dyn Communicator>,
        observe: &'a (dyn Fn(Event) + Sync),
    ) -> Result<Self, Error> {
        let rank = world.rank();
        let device = job.options.device.of_rank(job.options.local_rank.unwrap_or(rank))?;
        let world = if job.options.nccl {
            let timeout = job.options.threads.timeout;
            let over =
                nccl::over(world, &device, &NcclOptions { timeout, ..NcclOptions::default() });
            over.map_err(autopipe::Error::from)?
        } else {
            world
        };
        let table = job.config.pp_schedule_csv.is_some().then(|| job.plan.table.clone());
        let args = PipelineArgs {
            // All ranks see a number that is none, once the step is over (`vote`).
            guard: Guard::Off,
            defer_fsdp_grad_sync: job.recipe.distributed.defer_fsdp_grad_sync,
            ..args(&job.config, &job.mesh, table, device)
        };
        let mut pipeline = AutoPipeline::new(args, world)?;
        let loss = loss_fn(job.recipe.loss_fn, pipeline.tensor_parallel());
        pipeline.build(job.model.as_model(), loss)?;
        let mut optimizer = optimizer_of(job.recipe)?;
        if let Some(restored) = &job.restored {
            let tied = pipeline.plan()?.partition.tied();
            let parts = pipeline.parts()?;
            for parameter in parts.into_iter().flatten().filter(|p| p.is_trainable()) {
                let name = parameter.name();
                // Of a copy the same is remembered as of its owner, which alone is saved.
                let copy = tied.iter().find(|tied| tied.parameter == name);
                let saved = copy.map_or(name, |tied| &tied.owner);
                restored.optimizer.load(&mut optimizer, parameter, saved)?;
            }
        }
        let reporter = (rank == 0).then(|| Reporter::new(job, observe)).transpose()?;
        let evaluation = job.evaluation_of(pipeline.replica())?;
        Ok(Self {
            job,
            pipeline,
            optimizer,
            windows: job.windows_of(rank)?,
            evaluation,
            state: job.state.clone(),
            former_best: None,
            pending: None,
            reporter,
            stopwatch: Stopwatch::start(),
        })
    }

    pub(super) fn run(mut self) -> Result<Finished, Error> {
        let num_steps = self.job.num_steps();
        let mut finished = Finished::default();
        let first = self.state.step + 1;
        if num_steps == 0 {
            finished.loss = self.evaluate(0)?.map_err(|ended| self.ended(ended))?.loss;
        }
        for step in first..=num_steps {
            let (record, is_stopped) = match self.step(step)? {
                Ok(taken) => taken,
                Err(ended) => {
                    // All ranks end here: what was saved before is not lost with what comes after.
                    self.complete_save()?;
                    return Err(self.ended(ended));
                }
            };
            finished.loss = record.loss;
            finished.num_steps += 1;
            finished.num_tokens += record.tokens as u64;
            finished.is_stopped = is_stopped && step < num_steps;
            let is_last = step == num_steps || finished.is_stopped;
            if let Some(reporter) = &mut self.reporter {
                reporter.step(record);
                if finished.is_stopped {
                    reporter.tell(Event::Stopping { step });
                }
            }
            let evaluated =
                if finished.is_stopped { Ok(false) } else { self.evaluate_after(step)? };
            let is_best = *evaluated.as_ref().unwrap_or(&false);
            self.save_after(step, is_last || evaluated.is_err(), is_best, &mut finished)?;
            // When what the step has learnt is saved.
            evaluated.map_err(|ended| self.ended(ended))?;
            // Neither belongs to the next step's time.
            self.stopwatch.lap();
            if is_last {
                break;
            }
        }
        finished.left_out = self.state.position.skipped();
        Ok(finished)
    }

    /// Evaluates, if that is due, and tells whether it is better than all before.
    fn evaluate_after(&mut self, step: usize) -> Result<Result<bool, Ended>, Error> {
        let every = self.job.recipe.step_scheduler.val_every_steps;
        let is_due = every.is_some_and(|every| step.is_multiple_of(every));
        if self.evaluation.is_none() || !(is_due || step == self.job.num_steps()) {
            return Ok(Ok(false));
        }
        let loss = match self.evaluate(step)? {
            Ok(EvalRecord { loss, .. }) => loss,
            Err(ended) => return Ok(Err(ended)),
        };
        let is_better = self.state.best.is_none_or(|best| loss < best.val_loss);
        let is_best = loss.is_finite() && is_better;
        if is_best {
            self.former_best = self.state.best.replace(Best { step, val_loss: loss });
        }
        Ok(Ok(is_best))
    }

    /// The error with which this rank ends, when all do: the one whose it is says so, and the others
    /// wait until it has.
    fn ended(&self, ended: Ended) -> Error {
        let world = self.pipeline.world();
        if world.rank() != ended.rank {
            // However it ends, there is nothing else to do.
            let _ = world.barrier();
        }
        ended.error
    }

    /// This rank's number in its pipeline.
    fn pp_rank(&self) -> Result<usize, Error> {
        let rank = self.pipeline.world().rank();
        Ok(self.job.mesh.index(&Axis::PP, rank).map_err(autopipe::Error::from)?)
    }

    /// Whether this rank stands for its pipeline in what each pipeline does once.
    fn is_head(&self) -> Result<bool, Error> {
        Ok(self.pp_rank()? == 0 && self.pipeline.tensor_index() == 0)
    }

    /// By rank of the world, the most bytes held since the last call, which all ranks make.
    fn peak_memory(&self, timeline: Option<&Timeline>) -> Result<Vec<u64>, Error> {
        let pp_rank = self.pp_rank()?;
        let row = timeline.and_then(|timeline| timeline.rows().get(pp_rank));
        let held = row.map_or(&[][..], Vec::as_slice);
        peak_memory(self.pipeline.world(), self.pipeline.device(), held)
    }

    /// Whether this rank has, or has a share of, the parameters that stand for all sets of them.
    fn is_in_first_set(&self) -> bool {
        self.pipeline.replicate_index() == 0
    }

    /// This rank's parameters, each that stages share once over all ranks.
    fn owned(&self) -> Result<Vec<Parameter>, Error> {
        Ok(self.pipeline.owned_parts()?.iter().flatten().cloned().collect())
    }
}
