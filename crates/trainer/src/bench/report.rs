//! What a bench has found, for programs and for whoever prints it.

use autopipe_models::{AutoModel, WeightSource};
use serde::Serialize;

use super::Setup;
use super::rank::Measured;

/// The figures, and what they are figures of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Of the whole pipeline, from the median step.
    pub tokens_per_second: f64,
    /// The median of the measured steps.
    pub step_seconds: f64,
    /// All measured steps, in their order.
    pub step_seconds_all: Vec<f64>,
    /// What all threads of the process computed in a step, in its own code and in the kernel; the
    /// median. Where other programs want the same cores it says more than `step_seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds_per_step: Option<f64>,
    /// The most memory that the process has had, all ranks and everything else in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_rss_bytes: Option<u64>,
    /// The most memory that the process has had of any GPU in the measured steps, if ranks compute on GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_gpu_bytes: Option<u64>,
    /// The share of the ranks' time, from a step's start to the end of its last action, in which
    /// they did not compute; the median.
    /// On GPUs of three more steps, as whoever looks waits for the device after every action.
    pub measured_bubble: f64,
    /// The same as the simulator has it, with each step's measured times of computations and
    /// messages; the median. What is measured beyond it is waiting that the schedule does not
    /// explain.
    pub simulated_bubble: f64,
    /// By rank, the most bytes held in the last step: weights, gradients, moments, activations. Only
    /// there if the program's allocator counts them
    /// ([`autopipe::memory::CountingAllocator`]).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measured_peak_bytes: Vec<f64>,
    /// The same as the simulator has it, with what the step's actions were measured to hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub simulated_peak_bytes: Vec<f64>,
    /// The last step's loss, in nats per token.
    pub loss: f64,
    /// What was trained.
    pub model: Model,
    /// The type of weights, gradients and activations.
    pub dtype: &'static str,
    /// What updated the weights.
    pub optimizer: &'static str,
    /// torch's class name of the schedule or, where torch has none, its name.
    pub schedule: String,
    /// Pipeline ranks.
    pub pp_size: usize,
    /// Stages of the whole pipeline.
    pub num_stages: usize,
    /// How layers were shared out over them.
    pub split: String,
    /// The modules of each stage, in few words.
    pub stages: Vec<Vec<String>>,
    /// Samples of a step.
    pub batch_size: usize,
    /// Samples of a microbatch.
    pub microbatch_size: usize,
    /// Microbatches of a step.
    pub num_microbatches: usize,
    /// Tokens of a sample.
    pub seq_len: usize,
    /// Steps before those that were measured.
    pub num_warmup_steps: usize,
    /// Steps that were measured.
    pub num_steps: usize,
    /// What ranks computed on: `cpu` or `cuda`.
    pub device: &'static str,
    /// Threads that each rank computed with.
    pub threads_per_rank: usize,
    /// What computed.
    pub versions: Versions,
}

/// A model that was trained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    /// transformers' name of its family.
    pub model_type: &'static str,
    /// Weights of all stages.
    pub num_parameters: usize,
    /// Decoder layers.
    pub num_layers: usize,
    /// Where the weights came from.
    pub weights: Weights,
}

impl Model {
    pub(crate) fn of(model: &AutoModel) -> Self {
        let graph = model.as_model().graph();
        let weights = match model.weights() {
            WeightSource::Folder(_) => Weights::Checkpoint,
            WeightSource::Random { .. } => Weights::Random,
        };
        Self {
            model_type: model.family().name(),
            num_parameters: graph.num_parameters(),
            num_layers: graph.num_layers(),
            weights,
        }
    }
}

/// Where weights came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// They were read.
    Checkpoint,
    /// They were drawn.
    Random,
}

/// What computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// This crate's.
    pub autopipe: &'static str,
    /// `release`, or `debug` for a build whose figures say little.
    pub build: &'static str,
    /// The kind of processor that it was built for.
    pub arch: &'static str,
}

impl Report {
    pub(super) fn new(setup: &Setup<'_>, threads_per_rank: usize, measured: &Measured) -> Self {
        let Setup { options, plan, model, .. } = setup;
        let Measured { seconds, cpu_seconds, measured_idle, simulated_idle, .. } = measured;
        let step_seconds = median(seconds);
        #[expect(clippy::cast_precision_loss, reason = "a step has far fewer than 2^53 tokens")]
        let tokens = setup.tokens_per_step as f64;
        Self {
            // A step of no time is one that the clock has not noticed: no rate comes of it.
            tokens_per_second: if step_seconds > 0.0 { tokens / step_seconds } else { 0.0 },
            step_seconds,
            step_seconds_all: seconds.clone(),
            cpu_seconds_per_step: (!cpu_seconds.is_empty()).then(|| median(cpu_seconds)),
            peak_rss_bytes: measured.peak_rss_bytes,
            peak_gpu_bytes: measured.peak_gpu_bytes,
            measured_bubble: median(measured_idle),
            simulated_bubble: median(simulated_idle),
            measured_peak_bytes: measured.peaks.clone(),
            simulated_peak_bytes: measured.simulated_peaks.clone(),
            loss: measured.loss,
            model: Model::of(model),
            dtype: setup.options.dtype.as_str(),
            optimizer: "adamw",
            schedule: options.schedule.class_name().unwrap_or(options.schedule.name()).to_owned(),
            pp_size: options.pp_size,
            num_stages: plan.partition.num_stages(),
            split: options.split.to_string(),
            stages: plan.partition.stages().iter().map(|stage| stage.module_runs()).collect(),
            batch_size: options.batch_size,
            microbatch_size: options.microbatch_size,
            num_microbatches: plan.table.num_microbatches(),
            seq_len: options.seq_len,
            num_warmup_steps: options.num_warmup_steps,
            num_steps: options.num_steps,
            device: if measured.is_gpu { "cuda" } else { "cpu" },
            threads_per_rank,
            versions: Versions {
                autopipe: env!("CARGO_PKG_VERSION"),
                build: if cfg!(debug_assertions) { "debug" } else { "release" },
                arch: std::env::consts::ARCH,
            },
        }
    }
}

/// The middle of the sorted values, or the mean of the two that share it; 0 of none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted[..] {
        [] => 0.0,
        _ if sorted.len() % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}
