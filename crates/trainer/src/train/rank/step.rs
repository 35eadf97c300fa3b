//! One optimiser step: the pipeline's steps that make its batch, clipping, and the update.

use autopipe::splitter::BatchShape;
use autopipe::{Batch, Replica, StepOptions};
use autopipe_config::OnNonFinite;
use autopipe_nn::scale_grads;
use rand_chacha::rand_core::RngCore as _;

use super::vote::Vote;
use super::{Ended, RankRun};
use crate::data::{self, rng};
use crate::{Error, NonFinite, StepRecord, clip_coefficient, model_flops};

/// What the learning rate is multiplied by at a number that is none, if that is asked for.
const LOWERED: f64 = 0.5;

impl RankRun<'_> {
    /// Takes a step; all ranks learn the same of it, and whether the run is to end, or has to.
    pub(super) fn step(&mut self, step: usize) -> Result<Result<(StepRecord, bool), Ended>, Error> {
        let read = self.windows.next_window();
        let window = match self.all_have(read)? {
            Ok(window) => window,
            Err(ended) => return Ok(Err(ended)),
        };
        // The loss is divided by the labels of all pipelines, so that each counts as much.
        let (_, tokens) = self.over_pipelines(0.0, window.num_label_tokens())?;
        let Replica { index: replica, count: num_replicas } = self.pipeline.replica();
        let own_batches = window.batches.len();
        let num_batches = own_batches * num_replicas;
        let is_measured = self.is_measured(step);
        let mut loss = 0.0;
        let mut timeline = None;
        for (number, batch) in (1..).zip(&window.batches) {
            // Its number among those of all pipelines, which take turns.
            let of_all = (number - 1) * num_replicas + replica + 1;
            let seed = batch_seed(self.job.recipe.rng.seed, step, of_all);
            let batch = pipeline_batch(batch)
                // Where nothing is to be learnt, nothing is.
                .with_loss_scale(1.0 / float(tokens.max(1)))
                .with_share(1.0 / float(num_batches))
                .with_seed(seed);
            // By the last one, caches and allocators are warm.
            let is_last = number == own_batches;
            let measure = is_measured && is_last;
            let options = StepOptions { measure, more_to_come: !is_last, ..StepOptions::default() };
            let output = self.pipeline.step_with(&batch, options)?;
            loss += output.loss();
            timeline = output.timeline.or(timeline);
        }
        let vote = self.vote(step, loss)?;
        let loss = vote.loss;
        let lr = self.job.lr.at(step) * self.state.lr_factor;
        match &vote.problem {
            None => self.update(&vote, lr)?,
            Some(problem) => {
                if let Some(ended) = self.pass_over(problem) {
                    return Ok(Err(ended));
                }
            }
        }
        self.pipeline.zero_grad()?;
        self.state.step = step;
        self.state.position = window.position.clone();
        self.state.num_tokens = self.state.num_tokens.saturating_add(tokens as u64);

        let scheduler = &self.job.recipe.step_scheduler;
        let seq_len = self.job.recipe.dataset.seq_len;
        let shape = BatchShape { batch_size: scheduler.local_batch_size, seq_len };
        let record = StepRecord {
            step,
            epoch: self.job.loader.epoch_at(&window.position),
            loss,
            grad_norm: vote.grad_norm,
            lr,
            tokens,
            num_tokens: num_batches * scheduler.local_batch_size * seq_len,
            seconds: self.stopwatch.lap(),
            model_flops: float(num_batches) * model_flops(&self.job.plan.partition, shape),
            peak_flops: self.job.peak_flops(),
            measured_bubble: timeline.as_ref().map(autopipe::schedule::Timeline::bubble_rate),
            memory_bytes: self.peak_memory(timeline.as_ref())?,
            skipped: vote.problem.as_ref().map(NonFinite::to_string),
        };
        if let (Some(reporter), Some(timeline)) = (&mut self.reporter, timeline) {
            reporter.measured(step, timeline);
        }
        Ok(Ok((record, vote.is_stopped)))
    }

    /// Whether the actions of a step are measured. Every rank has to come to the same.
    fn is_measured(&self, step: usize) -> bool {
        step.is_multiple_of(self.job.recipe.metrics.measure_every_steps)
            || step == self.job.num_steps()
            || self.job.options.trace_step == Some(step)
    }

    /// Clips the gradients of this rank by the norm over all ranks, and updates its parameters.
    fn update(&mut self, vote: &Vote, lr: f64) -> Result<(), Error> {
        if let Some(max_norm) = self.job.recipe.clip_grad_norm.max_norm {
            let coefficient = clip_coefficient(vote.grad_norm, max_norm);
            if coefficient < 1.0 {
                scale_grads(self.pipeline.parts()?.into_iter().flatten(), coefficient)?;
            }
        }
        for part in self.pipeline.parts()? {
            self.optimizer.step(part, lr)?;
        }
        self.state.num_skipped_steps = 0;
        Ok(())
    }

    /// Does with a step that cannot be used what the recipe says, which may be to end.
    fn pass_over(&mut self, problem: &NonFinite) -> Option<Ended> {
        let options = &self.job.recipe.optimizer;
        self.state.num_skipped_steps += 1;
        let num_steps = self.state.num_skipped_steps;
        let error = match options.on_non_finite {
            OnNonFinite::Stop => Error::NonFinite(problem.clone()),
            OnNonFinite::Skip | OnNonFinite::LowerLr if num_steps >= options.max_skipped_steps => {
                Error::TooManySkipped { num_steps, last: problem.clone() }
            }
            OnNonFinite::Skip => return None,
            OnNonFinite::LowerLr => {
                self.state.lr_factor *= LOWERED;
                return None;
            }
        };
        Some(Ended { rank: problem.rank, error })
    }
}

/// A batch of the data, as the pipeline takes it.
pub(super) fn pipeline_batch(batch: &data::Batch) -> Batch {
    let own = Batch::new(batch.input_ids.clone(), batch.labels.clone());
    match &batch.position_ids {
        Some(positions) => own.with_keyword("position_ids", positions.clone()),
        None => own,
    }
}

/// What random numbers of a batch depend on: the run's seed, the step and the batch's number in it.
fn batch_seed(seed: u64, step: usize, number: usize) -> u64 {
    let mut rng = rng(seed, step);
    rng.set_stream(number as u64);
    rng.next_u64()
}

#[expect(clippy::cast_precision_loss, reason = "a step has far fewer than 2^53 of anything")]
fn float(count: usize) -> f64 {
    count as f64
}
