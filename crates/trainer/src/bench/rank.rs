//! One rank of a bench: the steps, and what each of them took.

use autopipe::communicator::Reduction;
use autopipe::schedule::{Costs, Timeline, simulate};
use autopipe::{AutoPipeline, Batch, Communicator, StepOptions, gpu_peak, restart_gpu_peak};
use autopipe_config::LossName;
use autopipe_nn::optim::{AdamWConfig, Optimizer};
use candle_core::Device;

use super::{Setup, process};
use crate::data::{RandomSize, random_batch};
use crate::device::cuda;
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
    /// Whether ranks have computed on GPUs.
    pub(super) is_gpu: bool,
    /// The most that it has had of any GPU in the steps whose time counts.
    pub(super) peak_gpu_bytes: Option<u64>,
}

/// How many more steps of ranks on GPUs are looked into, for the bubble: whoever looks waits for the device
/// after every action, so that they do not count for the time.
const NUM_LOOKED_INTO: usize = 3;

/// Takes all steps, those to warm up first.
pub(super) fn run(setup: &Setup<'_>, world: Box<dyn Communicator>) -> Result<Measured, Error> {
    let table = Some(setup.plan.table.clone());
    let device = &setup.options.device.of_rank(world.rank())?;
    let mut pipeline = pipeline(&setup.config, &setup.mesh, table, device.clone(), world)?;
    pipeline.build(setup.model.as_model(), loss_fn(LossName::MaskedCrossEntropy, None))?;
    let mut optimizer = Optimizer::new(AdamWConfig::default(), Vec::new())?;
    let is_gpu = !device.is_cpu();
    let mut measured = Measured { is_gpu, ..Measured::default() };
    let num_warmup = setup.options.num_warmup_steps;
    let num_timed = num_warmup.saturating_add(setup.options.num_steps);
    for step in 1..=num_timed {
        let taken = take_step(setup, (step, !is_gpu), device, &mut pipeline, &mut optimizer)?;
        if step <= num_warmup {
            restart_gpu_peak(device).map_err(cuda)?;
            continue;
        }
        measured.seconds.push(taken.seconds);
        measured.cpu_seconds.extend(taken.cpu_seconds);
        measured.loss = taken.loss;
        measured.look_into(setup, taken.timeline, !is_gpu);
    }
    if is_gpu {
        let own = gpu_peak(device).map_err(cuda)?;
        measured.peak_gpu_bytes = most_of_all(&pipeline, own)?;
        for step in (num_timed..).skip(1).take(NUM_LOOKED_INTO) {
            let taken = take_step(setup, (step, true), device, &mut pipeline, &mut optimizer)?;
            measured.look_into(setup, taken.timeline, false);
        }
    }
    measured.peak_rss_bytes = process::peak_rss_bytes();
    Ok(measured)
}

impl Measured {
    /// Takes from a timeline what it says; `counts_memory` if what is counted is the memory that matters.
    fn look_into(&mut self, setup: &Setup<'_>, timeline: Option<Timeline>, counts_memory: bool) {
        let Some(timeline) = timeline else { return };
        let costs = Costs::measured(&timeline);
        let simulated = simulate(&setup.plan.programs.train, &costs);
        self.measured_idle.push(timeline.idle_rate());
        self.simulated_idle.push(simulated.idle_rate());
        let has_counts = timeline.rows().iter().flatten().all(|span| span.held.is_some());
        if counts_memory && has_counts {
            self.peaks = timeline.peak_bytes(&costs);
            self.simulated_peaks = simulated.peak_bytes(&costs);
        }
    }
}

/// The largest of all ranks' counts, if they have any.
fn most_of_all(pipeline: &AutoPipeline, own: Option<u64>) -> Result<Option<u64>, Error> {
    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^53 bytes")]
    let own = own.map_or(-1.0, |bytes| bytes as f64);
    let most =
        pipeline.world().all_reduce(&[own], Reduction::Max).map_err(autopipe::Error::from)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of bytes, which a float holds exactly"
    )]
    Ok(most.first().filter(|bytes| **bytes >= 0.0).map(|&bytes| bytes as u64))
}

/// One step, measured.
struct Taken {
    loss: f64,
    seconds: f64,
    cpu_seconds: Option<f64>,
    timeline: Option<Timeline>,
}

/// The step of that number, looked into if so wanted.
fn take_step(
    setup: &Setup<'_>,
    (step, measure): (usize, bool),
    device: &Device,
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
    let options = StepOptions { measure, ..StepOptions::default() };
    let mut output = pipeline.step_with(&batch, options)?;
    for part in pipeline.parts()? {
        optimizer.step(part, LEARNING_RATE)?;
    }
    // A GPU is at it when the calls have returned.
    device.synchronize()?;
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
