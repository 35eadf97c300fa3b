//! One rank of a bench: the steps, and what each of them took.

use autopipe::schedule::{Costs, Timeline, simulate};
use autopipe::{AutoPipeline, Batch, Communicator, StepOptions};
use autopipe_config::LossName;
use autopipe_nn::optim::{AdamWConfig, Optimizer};

use super::{Setup, process};
use crate::data::{RandomSize, random_batch};
use crate::train::{loss_fn, pipeline};
use crate::{Error, Stopwatch};

/// Any rate at which nothing overflows would do: what is learnt of random tokens is nobody's.
const LEARNING_RATE: f64 = 3e-4;

/// What the measured steps took.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    /// By step, seconds from one meeting of all ranks to the next.
    pub(super) seconds: Vec<f64>,
    /// By step, seconds that all threads of the process computed, as far as the system tells.
    pub(super) cpu_seconds: Vec<f64>,
    /// By step, the share of the ranks' time in which they did not compute.
    pub(super) measured_idle: Vec<f64>,
    /// The same as the simulator has it with the times of that step's computations.
    pub(super) simulated_idle: Vec<f64>,
    /// By rank, the most bytes held in the last step; empty if the allocator does not count, or ranks
    /// compute on GPUs.
    pub(super) peaks: Vec<f64>,
    /// The same as the simulator has it.
    pub(super) simulated_peaks: Vec<f64>,
    /// The last step's, in nats per token.
    pub(super) loss: f64,
    /// The most memory that the process has had.
    pub(super) peak_rss_bytes: Option<u64>,
}

/// Takes all steps, those to warm up first.
pub(super) fn run(setup: &Setup<'_>, world: Box<dyn Communicator>) -> Result<Measured, Error> {
    let table = Some(setup.plan.table.clone());
    let device = setup.options.device.of_rank(world.rank())?;
    let counts_memory = device.is_cpu();
    let mut pipeline = pipeline(&setup.config, &setup.mesh, table, device, world)?;
    pipeline.build(setup.model.as_model(), loss_fn(LossName::MaskedCrossEntropy, None))?;
    let mut optimizer = Optimizer::new(AdamWConfig::default(), Vec::new())?;
    let mut measured = Measured::default();
    let num_warmup = setup.options.num_warmup_steps;
    for step in 1..=num_warmup.saturating_add(setup.options.num_steps) {
        let taken = take_step(setup, step, &mut pipeline, &mut optimizer)?;
        if step <= num_warmup {
            continue;
        }
        measured.seconds.push(taken.seconds);
        measured.cpu_seconds.extend(taken.cpu_seconds);
        measured.loss = taken.loss;
        if let Some(timeline) = taken.timeline {
            let costs = Costs::measured(&timeline);
            let simulated = simulate(&setup.plan.programs.train, &costs);
            measured.measured_idle.push(timeline.idle_rate());
            measured.simulated_idle.push(simulated.idle_rate());
            // What is counted is memory of the host.
            let has_counts = timeline.rows().iter().flatten().all(|span| span.held.is_some());
            if counts_memory && has_counts {
                measured.peaks = timeline.peak_bytes(&costs);
                measured.simulated_peaks = simulated.peak_bytes(&costs);
            }
        }
    }
    measured.peak_rss_bytes = process::peak_rss_bytes();
    Ok(measured)
}

/// One step, measured.
struct Taken {
    loss: f64,
    seconds: f64,
    cpu_seconds: Option<f64>,
    timeline: Option<Timeline>,
}

fn take_step(
    setup: &Setup<'_>,
    step: usize,
    pipeline: &mut AutoPipeline,
    optimizer: &mut Optimizer,
) -> Result<Taken, Error> {
    #[expect(clippy::cast_precision_loss, reason = "a step has far fewer than 2^53 tokens")]
    let loss_scale = 1.0 / setup.tokens_per_step as f64;
    let options = setup.options;
    let size = RandomSize {
        vocab_size: setup.model.vocab_size(),
        batch_size: options.batch_size,
        seq_len: options.seq_len,
    };
    let batch = random_batch(size, options.seed, step)?;
    let batch = Batch::new(batch.input_ids, batch.labels).with_loss_scale(loss_scale);

    meet(pipeline)?;
    let cpu_before = process::cpu_seconds();
    let mut stopwatch = Stopwatch::start();
    for part in pipeline.parts()? {
        part.zero_grad();
    }
    let options = StepOptions { measure: true, ..StepOptions::default() };
    let mut output = pipeline.step_with(&batch, options)?;
    for part in pipeline.parts()? {
        optimizer.step(part, LEARNING_RATE)?;
    }
    meet(pipeline)?;
    let seconds = stopwatch.lap();
    let cpu_seconds = process::cpu_seconds().zip(cpu_before).map(|(now, before)| now - before);
    // No rank ends before the time of its threads has been read.
    meet(pipeline)?;

    Ok(Taken { loss: output.loss(), seconds, cpu_seconds, timeline: output.timeline.take() })
}

fn meet(pipeline: &AutoPipeline) -> Result<(), Error> {
    Ok(pipeline.world().barrier().map_err(autopipe::Error::from)?)
}
