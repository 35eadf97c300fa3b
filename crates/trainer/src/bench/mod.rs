//! How fast a pipeline trains here, measured: steps of a model on random tokens, and nothing else.
//!
//! A step is what every training run repeats: gradients are cleared, the batch goes through the
//! pipeline, and every rank updates its own parameters with AdamW. It is timed on rank 0 from one
//! meeting of all ranks to the next; making the batch is not part of it.

mod process;
mod rank;
mod report;
#[cfg(test)]
mod tests;

use autopipe::schedule::{Kind, Plan};
use autopipe::{
    DataParallel, DeviceMesh, ParameterBytes, PipelineConfig, PipelinePlan, Split, ThreadOptions,
    threads,
};
use autopipe_config::{DType, LossName, ModelSource};
use autopipe_models::{self as models, AutoModel};

use crate::train::{
    candle_dtype, decide, found, load_or_draw, mesh_of, split_of_one, table_of, workload,
};
use crate::{DeviceChoice, Error, TrainError};
use rank::Measured;
pub use report::{Model, Report, Versions, Weights};

/// What is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The model. A folder without weights in it is a config alone, which gets random ones.
    pub model: ModelSource,
    /// Pipeline ranks, each on threads of its own.
    pub pp_size: usize,
    /// The schedule.
    pub schedule: Kind,
    /// Stages on each rank; `None` is the schedule's usual number.
    pub stages_per_rank: Option<usize>,
    /// How layers are shared out over stages.
    pub split: Split,
    /// Samples of a step.
    pub batch_size: usize,
    /// Samples of a microbatch.
    pub microbatch_size: usize,
    /// Tokens of a sample.
    pub seq_len: usize,
    /// Steps that are measured.
    pub num_steps: usize,
    /// Steps before them, in which caches and allocators become warm.
    pub num_warmup_steps: usize,
    /// What random weights and tokens depend on.
    pub seed: u64,
    /// The type of weights and activations; anything but float64. Gradients are float32, and beside
    /// weights of half precision AdamW keeps float32 ones.
    pub dtype: DType,
    /// What ranks compute on.
    pub device: DeviceChoice,
}

/// Trains for some steps, and tells how long they took.
///
/// # Errors
/// Before the first step, everything that is wrong with model, sizes, schedule or split. Later, the
/// rank that failed first and why.
pub fn bench(options: &Options, ranks: &ThreadOptions) -> Result<Report, TrainError> {
    let setup = Setup::prepare(options).map_err(TrainError::Prepare)?;
    let measured = threads(options.pp_size, ranks, |world| rank::run(&setup, world))
        .map_err(TrainError::Rank)?;
    // All ranks have met before and after every step: rank 0 speaks for them.
    let none = || TrainError::Prepare(vec![Error::Zero { name: "pp" }]);
    let measured: Measured = measured.into_iter().next().ok_or_else(none)?;
    Ok(Report::new(&setup, ranks.num_threads(options.pp_size).get(), &measured))
}

/// What the ranks share: everything checked.
struct Setup<'a> {
    options: &'a Options,
    config: PipelineConfig,
    mesh: DeviceMesh,
    model: AutoModel,
    plan: PipelinePlan,
    /// Labels of a step: all count.
    tokens_per_step: usize,
}

impl<'a> Setup<'a> {
    /// Looks at everything that can be looked at, so that all problems are told at once.
    fn prepare(options: &'a Options) -> Result<Self, Vec<Error>> {
        let mut problems: Vec<Error> = Vec::new();
        for (name, count) in [("steps", options.num_steps), ("seq", options.seq_len)] {
            if count == 0 {
                problems.push(Error::Zero { name });
            }
        }
        let config = PipelineConfig {
            pp_microbatch_size: options.microbatch_size,
            pp_batch_size: options.batch_size,
            dtype: Some(options.dtype),
            loss_fn: Some(LossName::MaskedCrossEntropy),
            ..PipelineConfig::default()
        };
        problems.extend(options.device.has_gpus().err());
        let mesh = found(&mut problems, mesh_of(options.pp_size));
        if options.dtype == DType::Float64 {
            problems.push(Error::Precision { dtype: options.dtype });
        }
        let training =
            models::Options { dtype: candle_dtype(options.dtype), ..models::Options::default() };
        let model = found(&mut problems, load_or_draw(&options.model, options.seed, training));
        let table = found(&mut problems, table(options, &config));
        let tokens_per_step = found(&mut problems, tokens_per_step(options));
        problems.extend(split_of_one(table.as_ref(), &options.split));
        let decided = match (&model, &table) {
            (Some(model), Some(table)) => {
                let decided = planned(options, &config, table, model);
                found(&mut problems, decided)
            }
            _ => None,
        };
        match (mesh, model, decided, tokens_per_step) {
            (Some(mesh), Some(model), Some(decided), Some(tokens_per_step))
                if problems.is_empty() =>
            {
                let (config, plan) = decided;
                Ok(Self { options, config, mesh, model, plan, tokens_per_step })
            }
            _ => Err(problems),
        }
    }
}

/// What each rank computes.
fn table(options: &Options, config: &PipelineConfig) -> Result<Plan, Error> {
    let num_microbatches =
        config.num_microbatches().map_err(|problem| autopipe::Error::Config(vec![problem]))?;
    table_of(options.schedule, options.pp_size, options.stages_per_rank, num_microbatches)
}

fn planned(
    options: &Options,
    config: &PipelineConfig,
    table: &Plan,
    model: &AutoModel,
) -> Result<(PipelineConfig, PipelinePlan), Error> {
    let workload =
        workload(config, options.seq_len, ParameterBytes::adamw(model.dtype().size_in_bytes()));
    let graph = model.as_model().graph();
    let (pp_size, way) = (options.pp_size, &options.split);
    Ok(decide(config, Some(table), (pp_size, DataParallel::NONE), &graph, way, &workload)?)
}

fn tokens_per_step(options: &Options) -> Result<usize, Error> {
    let (global_batch_size, seq_len) = (options.batch_size, options.seq_len);
    let too_large = Error::StepTooLarge { global_batch_size, seq_len };
    global_batch_size.checked_mul(seq_len).ok_or(too_large)
}
