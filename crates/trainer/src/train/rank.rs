//! One rank's run: steps of the pipeline, and of the optimiser on its own parameters.

use std::sync::Arc;

use autopipe::communicator::Reduction;
use autopipe::schedule::{Plan, Timeline};
use autopipe::splitter::BatchShape;
use autopipe::{
    AutoPipeline, Batch, Communicator, DeviceMesh, LossFn, PipelineArgs, PipelineConfig,
    StepOptions,
};
use autopipe_config::{LossName, OptimizerName};
use autopipe_models::checkpoint::save::Content;
use autopipe_nn::optim::{AdamW, AdamWConfig};
use autopipe_nn::{cross_entropy_sum, grad_norm_squared, scale_grads};
use candle_core::Device;
use rand_chacha::rand_core::RngCore as _;

use super::Finished;
use super::job::Job;
use super::save::save;
use crate::data::{Loader, rng};
use crate::{
    Error, Event, MetricsWriter, StepRecord, Stopwatch, clip_coefficient, grad_norm, model_flops,
    peak_memory,
};

/// What one rank trains with.
pub(super) struct RankRun<'a> {
    job: &'a Job<'a>,
    pipeline: AutoPipeline,
    optimizer: AdamW,
    loader: Loader,
    /// When the actions of the last step happened.
    timeline: Option<Timeline>,
}

impl<'a> RankRun<'a> {
    pub(super) fn new(job: &'a Job<'a>, world: Box<dyn Communicator>) -> Result<Self, Error> {
        let table = job.config.pp_schedule_csv.is_some().then(|| job.plan.table.clone());
        let mut pipeline = pipeline(&job.config, &job.mesh, table, world)?;
        pipeline.build(job.model.as_model(), loss_fn(job.recipe.loss_fn))?;
        let options = &job.recipe.optimizer;
        let optimizer = match options.name {
            OptimizerName::AdamW => AdamW::new(AdamWConfig {
                beta1: options.betas[0],
                beta2: options.betas[1],
                eps: options.eps,
                weight_decay: options.weight_decay,
            })?,
        };
        Ok(Self { job, pipeline, optimizer, loader: job.loader.clone(), timeline: None })
    }

    pub(super) fn run(mut self, observe: &(dyn Fn(Event) + Sync)) -> Result<Finished, Error> {
        let is_reporter = self.pipeline.world().rank() == 0;
        let mut metrics = match &self.job.run_dir {
            Some(run_dir) if is_reporter => Some(MetricsWriter::new(run_dir.open_metrics()?)),
            _ => None,
        };
        let mut finished = Finished { loss: f64::NAN, checkpoint: None };
        let mut stopwatch = Stopwatch::start();
        let num_steps = self.job.num_steps();
        for step in 1..=num_steps {
            let record = self.step(step, &mut stopwatch)?;
            finished.loss = record.loss;
            if let Some(metrics) = &mut metrics {
                metrics.write(&record)?;
            }
            if is_reporter {
                observe(Event::Step(record));
            }
            if let Some(run_dir) = &self.job.run_dir
                && (step == num_steps || self.is_checkpoint(step))
            {
                let path =
                    save(run_dir, step, &self.pipeline, &self.job.model, self.content(step))?;
                if is_reporter {
                    observe(Event::Saved { step, path: path.clone() });
                }
                finished.checkpoint = Some(path);
                // Saving is not part of the next step's time.
                stopwatch.lap();
            }
        }
        if let (true, Some(timeline)) = (is_reporter, self.timeline) {
            let run_dir = self.job.run_dir.as_ref();
            let path = run_dir.map(|run_dir| run_dir.write_timeline(&timeline)).transpose()?;
            observe(Event::Measured { timeline, path });
        }
        Ok(finished)
    }

    fn is_checkpoint(&self, step: usize) -> bool {
        self.job
            .recipe
            .step_scheduler
            .ckpt_every_steps
            .is_some_and(|every| step.is_multiple_of(every))
    }

    /// What the checkpoint after a step has: adapters, unless they are merged in the last.
    fn content(&self, step: usize) -> Content {
        match &self.job.recipe.peft {
            Some(peft) if !(peft.merge && step == self.job.num_steps()) => Content::Adapter,
            Some(_) | None => Content::Model,
        }
    }

    /// One optimiser step: the pipeline's steps that make its batch, clipping, and the update.
    fn step(&mut self, step: usize, stopwatch: &mut Stopwatch) -> Result<StepRecord, Error> {
        let scheduler = &self.job.recipe.step_scheduler;
        let tokens = self.job.tokens_per_step;
        #[expect(clippy::cast_precision_loss, reason = "a step has far fewer than 2^53 tokens")]
        let loss_scale = 1.0 / tokens as f64;
        let mut loss = 0.0;
        let num_batches = scheduler.num_accumulation_steps(1)?;
        #[expect(clippy::cast_precision_loss, reason = "a step has far fewer than 2^53 batches")]
        let share = 1.0 / num_batches as f64;
        for number in 1..=num_batches {
            let batch = self.loader.next_batch(scheduler.local_batch_size, &Device::Cpu)?;
            let batch = Batch::new(batch.input_ids, batch.labels)
                .with_loss_scale(loss_scale)
                .with_share(share)
                .with_seed(batch_seed(self.job.recipe.rng.seed, step, number));
            // By the last one, caches and allocators are warm.
            if step == self.job.num_steps() && number == num_batches {
                let options = StepOptions { measure: true, ..StepOptions::default() };
                let output = self.pipeline.step_with(&batch, options)?;
                loss += output.loss();
                self.timeline = output.timeline;
            } else {
                loss += self.pipeline.step(&batch)?.loss();
            }
        }
        let grad_norm = self.clip()?;
        let lr = self.job.lr.at(step);
        for part in self.pipeline.parts()? {
            self.optimizer.step(part, lr)?;
            part.zero_grad();
        }
        let timeline = self.timeline.as_ref().filter(|_| step == self.job.num_steps());
        let world = self.pipeline.world();
        let position = self.loader.position();
        let batch = BatchShape {
            batch_size: scheduler.local_batch_size,
            seq_len: self.job.recipe.dataset.seq_len,
        };
        Ok(StepRecord {
            step,
            epoch: float_of(position.epoch)
                + float_of(position.index) / float_of(self.loader.num_sequences()),
            loss,
            grad_norm,
            lr,
            tokens,
            num_tokens: tokens,
            seconds: stopwatch.lap(),
            model_flops: float_of(num_batches as u64)
                * model_flops(&self.job.plan.partition, batch),
            peak_flops: None,
            measured_bubble: timeline.map(Timeline::bubble_rate),
            memory_bytes: peak_memory(world, timeline)?,
            skipped: None,
        })
    }

    /// Clips the gradients of this rank by the norm over all ranks, and returns that norm.
    fn clip(&self) -> Result<f64, Error> {
        // A tensor with copies on several stages counts once.
        let owned = self.pipeline.owned_parts()?;
        let owned = || owned.iter().flatten();
        let sum_of_squares = grad_norm_squared(owned())?;
        let gradients = owned().filter_map(|p| p.grad().map(|grad| (p.name(), grad)));
        let world = self.pipeline.world();
        let norm = grad_norm(sum_of_squares, gradients, |sum| {
            Ok(world.all_reduce(&[sum], Reduction::Sum).map_err(autopipe::Error::from)?[0])
        })?;
        if let Some(max_norm) = self.job.recipe.clip_grad_norm.max_norm {
            let coefficient = clip_coefficient(norm, max_norm);
            if coefficient < 1.0 {
                scale_grads(self.pipeline.parts()?.into_iter().flatten(), coefficient)?;
            }
        }
        Ok(norm)
    }
}

#[expect(clippy::cast_precision_loss, reason = "no run has 2^53 of anything")]
fn float_of(count: u64) -> f64 {
    count as f64
}

/// What random numbers of a batch depend on: the run's seed, the step and the batch's number in it.
fn batch_seed(seed: u64, step: usize, number: usize) -> u64 {
    let mut rng = rng(seed, step);
    rng.set_stream(number as u64);
    rng.next_u64()
}

/// This rank's pipeline on the CPU, before it is built; by `table`, if there is one.
pub(crate) fn pipeline(
    config: &PipelineConfig,
    mesh: &DeviceMesh,
    table: Option<Plan>,
    world: Box<dyn Communicator>,
) -> Result<AutoPipeline, Error> {
    let args = PipelineArgs {
        device: Some(Device::Cpu),
        table,
        ..PipelineArgs::new(config.clone(), mesh.clone())
    };
    Ok(AutoPipeline::new(args, world)?)
}

/// The loss of a name, as a pipeline computes it on its last stage.
pub(crate) fn loss_fn(name: LossName) -> LossFn {
    match name {
        LossName::MaskedCrossEntropy => {
            Arc::new(|outputs, labels| cross_entropy_sum(&outputs[0], labels))
        }
    }
}
