//! What a plan will take, before anything runs: operations, memory and time of every stage and rank.

pub(crate) mod costs;
mod held;
mod suggest;
#[cfg(test)]
mod tests;
mod warning;

use autopipe_schedule::{Rank, Stage, Timeline, simulate, simulate_plan};
use autopipe_splitter::{BatchShape, Partition, Routes};
use serde::Serialize;

use crate::{DataParallel, PipelinePlan};
use held::Held;
pub use suggest::{Suggestion, suggest};
pub use warning::{Warning, warnings};

/// What goes through a pipeline, and on what it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workload {
    /// What one microbatch is made of, in whole sequences.
    pub microbatch: BatchShape,
    /// What a parameter takes while it is trained.
    pub parameter_bytes: ParameterBytes,
    /// How many ranks share out what.
    pub shards: Shards,
    /// The machine, if times are to be in seconds.
    pub speed: Option<Speed>,
    /// How many bytes a rank has room for.
    pub memory_limit: Option<f64>,
}

/// How many ranks share out each part of a stage's work and memory, evenly; each at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shards {
    /// Its parameters.
    pub weights: usize,
    /// Their gradients, which stay whole on each data-parallel rank as long as their sum is put off.
    pub gradients: usize,
    /// The optimiser's state.
    pub optimizer: usize,
    /// The tokens of each sequence: context parallelism.
    pub sequence: usize,
    /// The operations of each layer, and of its activations what is between its matrices: tensor
    /// parallelism.
    pub layer: usize,
}

impl Shards {
    /// Among how many ranks the operations of a stage are shared out.
    pub(crate) fn of_layers(self) -> f64 {
        float(self.sequence.max(1)) * float(self.layer.max(1))
    }

    /// One rank for each stage, which has everything.
    pub const NONE: Self = Self { weights: 1, gradients: 1, optimizer: 1, sequence: 1, layer: 1 };
}

impl DataParallel {
    /// What the ranks of these pipelines share out. Gradients are shared out when they are summed: at
    /// the end of a step if that is put off, and else after every microbatch.
    pub fn shards(self, defer_fsdp_grad_sync: bool) -> Shards {
        let shard = self.shard;
        let gradients = if defer_fsdp_grad_sync { 1 } else { shard };
        Shards { weights: shard, gradients, optimizer: shard, ..Shards::NONE }
    }
}

impl Shards {
    /// The same where each of `num_ranks` has a part of every layer.
    #[must_use]
    pub fn among_tensor_parallel(self, num_ranks: usize) -> Self {
        Self {
            weights: self.weights.saturating_mul(num_ranks),
            gradients: self.gradients.saturating_mul(num_ranks),
            optimizer: self.optimizer.saturating_mul(num_ranks),
            layer: self.layer.saturating_mul(num_ranks),
            ..self
        }
    }
}

/// How many bytes a parameter takes while it is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ParameterBytes {
    /// Its own.
    pub weight: usize,
    /// Those of its gradient.
    pub gradient: usize,
    /// Those that the optimiser remembers.
    pub optimizer: usize,
}

impl ParameterBytes {
    /// Weights of so many bytes, gradients and AdamW's two moments in float32; beside weights of
    /// half precision, the same in float32.
    pub fn adamw(weight: usize) -> Self {
        let master = if weight < 4 { 4 } else { 0 };
        Self { weight, gradient: 4, optimizer: 8 + master }
    }
}

/// How fast a rank is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Floating-point operations per second that it sustains; above 0.
    pub flops: f64,
    /// Bytes per second between two stages; none for messages that take no time.
    pub bandwidth: Option<f64>,
}

/// What a plan will take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// By stage.
    pub stages: Vec<StageForecast>,
    /// By rank of the pipeline.
    pub ranks: Vec<RankForecast>,
    /// How long a step takes: in seconds if the speed is known, and else in operations of one rank.
    pub step: f64,
    /// The part of a step in which even the busiest rank waits, by the papers' metric.
    pub bubble: f64,
    /// The part of a step in which ranks wait, on the mean of all: what imbalance costs is in it.
    pub idle: f64,
    /// Tokens of a step.
    pub tokens: f64,
}

/// What a stage will take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageForecast {
    /// The stage.
    pub stage: usize,
    /// The rank of the pipeline that has it.
    pub rank: usize,
    /// The names of its modules.
    pub modules: Vec<String>,
    /// How many numbers its parameters hold.
    pub num_parameters: usize,
    /// Operations of the forward of one microbatch.
    pub flops: f64,
    /// The time of forward and backward of one microbatch, in the unit of [`Forecast::step`].
    pub time: f64,
    /// Bytes that it keeps of one microbatch from forward to backward.
    pub activation_bytes: f64,
    /// Bytes that it sends to the next stage with each microbatch.
    pub message_bytes: f64,
}

/// What a rank will take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankForecast {
    /// The rank of the pipeline.
    pub rank: usize,
    /// Its stages.
    pub stages: Vec<usize>,
    /// How many numbers the parameters of its stages have, shared out or not.
    pub num_parameters: usize,
    /// The bytes of those that it holds all the time. Of those that are trained and on no other stage,
    /// these are its share.
    pub weights: f64,
    /// The bytes of whole parameters, put together from the shares, of as many of its stages as are
    /// gathered at a time.
    pub gathered: f64,
    /// The bytes of the gradients of those that are trained. If they are shared out after every
    /// microbatch, those of the largest stage are whole until then.
    pub gradients: f64,
    /// The bytes of the optimiser's state for them.
    pub optimizer: f64,
    /// The bytes of activations at their peak.
    pub activations: f64,
    /// How many activations, each of one stage and microbatch, are alive at their peak.
    pub num_activations: usize,
}

impl RankForecast {
    /// All bytes at the peak.
    pub fn total(&self) -> f64 {
        self.weights + self.gathered + self.gradients + self.optimizer + self.activations
    }
}

impl Forecast {
    /// The fullest rank's bytes at its peak.
    pub fn peak_bytes(&self) -> f64 {
        self.ranks.iter().map(RankForecast::total).fold(0.0, f64::max)
    }
}

/// Simulates a step of a plan, with costs that follow from the model's graph.
///
/// A forward takes its operations; the backward for the inputs as many, and for attention, whose
/// scores it computes again, two and a half times as many; the backward for the weights those of the
/// products with weights. An activation is held from its forward to the end of its backward.
///
/// Stages before the first one with trainable parameters take no time backward and hold nothing.
///
/// # Examples
/// ```
/// use autopipe::splitter::{BatchShape, Cost, Module, ModuleGraph, ParameterSpec, Role};
/// use autopipe::{ParameterBytes, PipelineConfig, Shards, Workload, forecast, plan};
///
/// let layer = |i: usize| Module {
///     name: format!("layers.{i}"),
///     parameters: vec![ParameterSpec::new(format!("layers.{i}.weight"), [100, 100])],
///     submodules: Vec::new(),
///     role: Role::Layer,
///     flops: Cost::per_token(20_000),
///     activation_bytes: Cost::per_token(400).into(),
/// };
/// let graph = ModuleGraph::chain((0..4).map(layer), &[])?;
/// let config = PipelineConfig { pp_batch_size: 8, ..PipelineConfig::default() };
/// let plan = plan(&config, None, 2, &graph)?;
/// let workload = Workload {
///     microbatch: BatchShape { batch_size: 1, seq_len: 10 },
///     parameter_bytes: ParameterBytes::adamw(4),
///     shards: Shards::NONE,
///     speed: None,
///     memory_limit: None,
/// };
/// let forecast = forecast(&plan, &workload);
/// assert_eq!(forecast.step, (8. + 1.) * 3. * 2. * 10. * 20_000.); // microbatches and the way there
/// assert_eq!(forecast.ranks[0].weights, 2. * 10_000. * 4.);
/// assert_eq!(forecast.ranks[0].activations, 2. * 2. * 10. * 400.); // of two microbatches
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn forecast(plan: &PipelinePlan, workload: &Workload) -> Forecast {
    of_parts(&plan.partition, &plan.routes, &plan.table, workload)
}

/// When every action of a training step happens, communication too, by the costs of
/// [`forecast`] and in some unit of time: what lasts twice as long as another lasts twice as long.
pub fn predicted(plan: &PipelinePlan, workload: &Workload) -> Timeline {
    let costs = costs::costs(&plan.partition, &plan.routes, workload);
    simulate(&plan.programs.train, &costs.scaled)
}

/// [`forecast`] of what is not proved yet.
fn of_parts(
    partition: &Partition,
    routes: &Routes,
    table: &autopipe_schedule::Plan,
    workload: &Workload,
) -> Forecast {
    let costs = costs::costs(partition, routes, workload);
    let timeline = simulate_plan(table, &costs.scaled);
    let shape = workload.microbatch;
    let shards = workload.shards;
    let placement = table.placement();
    let stages = (0..).zip(partition.stages()).map(|(stage, modules)| StageForecast {
        stage,
        rank: placement.rank_of(Stage::new(stage)).index(),
        modules: modules.modules().to_vec(),
        num_parameters: modules.num_parameters(),
        flops: modules.flops(shape) / shards.of_layers(),
        time: costs.times[stage],
        activation_bytes: costs::activation_bytes(partition, stage, workload),
        message_bytes: costs.message_bytes[stage],
    });
    let stages: Vec<StageForecast> = stages.collect();
    let peaks = timeline.peak_bytes(&costs.scaled);
    let nums = timeline.peak_activations();
    let ranks = (0..table.num_ranks()).map(|rank| {
        let mine = placement.stages_of(Rank::new(rank));
        let mine: Vec<usize> = mine.iter().map(|stage| stage.index()).collect();
        let Held { weights, gathered, gradients, optimizer } =
            held::of_rank(partition, &mine, workload);
        RankForecast {
            rank,
            num_parameters: mine.iter().map(|&stage| stages[stage].num_parameters).sum(),
            stages: mine,
            weights,
            gathered,
            gradients,
            optimizer,
            activations: peaks[rank],
            num_activations: nums[rank],
        }
    });
    let microbatches = float(table.num_microbatches());
    let step = timeline.makespan() * costs.unit;
    Forecast {
        ranks: ranks.collect(),
        stages,
        step,
        bubble: timeline.bubble_rate(),
        idle: timeline.idle_rate(),
        tokens: microbatches * float(shape.batch_size) * float(shape.seq_len),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a size is no different at the 16th digit")]
pub(crate) fn float(size: usize) -> f64 {
    size as f64
}
