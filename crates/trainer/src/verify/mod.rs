//! Whether a model that is split computes what it computes unsplit: one forward and backward of both.
//!
//! The unsplit run is the plain one: all modules in one stage, the whole batch at once, and a
//! backward, without schedule, ranks or messages. The split run is a step of the pipeline that a
//! training run would use. Compared are the loss, the summed cross entropy of all labels that count
//! divided by their number in the whole batch, and the gradient of every parameter.

mod batch;
mod gradients;
mod rank;
mod report;
#[cfg(test)]
mod tests;
mod unsplit;

use std::path::PathBuf;

use autopipe::schedule::{Kind, Plan};
use autopipe::{
    DataParallel, DeviceMesh, ParameterBytes, PipelineConfig, PipelinePlan, Split, ThreadOptions,
    threads,
};
use autopipe_config::{ActivationCheckpointing, DType, LossName, ModelSource};
use autopipe_models::{self as models, AutoModel, Lora};

use crate::train::{
    candle_dtype, decide, found, load_or_draw, mesh_of, read_table, recompute, split_of_one,
    table_of, workload,
};
use crate::{Error, TrainError};
use batch::Checked;
pub use batch::{BatchProblem, BatchSource};
pub use gradients::{Comparison, Difference, Gradients, Missing, Side, compare};
pub use report::Report;

/// What is verified, and with which batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The model. A folder without weights in it is a config alone, which gets random ones.
    pub model: ModelSource,
    /// Pipeline ranks, each on threads of its own.
    pub pp_size: usize,
    /// The schedule, which says how many microbatches there are.
    pub schedule: Schedule,
    /// How layers are shared out over stages.
    pub split: Split,
    /// The type of weights and activations.
    pub dtype: DType,
    /// Which parameters have no gradient: names of parameters or modules, or patterns.
    pub freeze: Vec<String>,
    /// The folder of the adapters that are trained in place of the model.
    pub adapter: Option<PathBuf>,
    /// Which layers are computed again for their backward when split; unsplit none is.
    pub recompute: ActivationCheckpointing,
    /// The batch.
    pub batch: BatchSource,
    /// By how much loss and gradients may differ, relative to the unsplit ones.
    pub tolerance: f64,
    /// What random weights and tokens depend on.
    pub seed: u64,
}

/// Where a schedule comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// It is generated.
    Named {
        /// By this name.
        kind: Kind,
        /// Stages on each rank; `None` is the schedule's usual number.
        stages_per_rank: Option<usize>,
        /// Microbatches of a step.
        num_microbatches: usize,
    },
    /// It is read from a file in torch's CSV.
    Table {
        /// The file.
        path: PathBuf,
        /// Microbatches that it has to have; `None` for as many as it has.
        num_microbatches: Option<usize>,
    },
}

/// What has been found.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The verdict and its figures.
    pub report: Report,
    /// The gradients of the split model.
    pub gradients: Gradients,
}

/// By how much a gradient may differ that was computed in another order: a thousand roundings in
/// float32 and float64, whose sums are as exact as they are; some more in half precision, in which
/// what goes from stage to stage is rounded.
pub fn default_tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::Float64 => 1e-10,
        DType::Float32 => 1e-4,
        DType::Float16 => 1e-2,
        DType::BFloat16 => 5e-2,
    }
}

/// Computes loss and gradients of one batch unsplit and split, and compares them. That they differ
/// is no error but what the report says.
///
/// # Errors
/// Before anything is computed, all that is wrong with model, batch, sizes, schedule or split. Later
/// what made the unsplit model fail, or the rank that failed first and why.
pub fn verify(options: &Options, ranks: &ThreadOptions) -> Result<Verified, TrainError> {
    let setup = Setup::prepare(options).map_err(TrainError::Prepare)?;
    let alone = |error| TrainError::Prepare(vec![error]);
    let unsplit = unsplit::run(&setup).map_err(alone)?;
    let computed = threads(options.pp_size, ranks, |world| rank::run(&setup, world))
        .map_err(TrainError::Rank)?;
    let mut split = Computed::default();
    for of_rank in computed {
        // The same on every rank.
        split.loss = of_rank.loss;
        split.gradients.merge(of_rank.gradients);
    }
    let comparison = compare(&unsplit.gradients, &split.gradients).map_err(alone)?;
    let threads_per_rank = ranks.num_threads(options.pp_size).get();
    let report = Report::new(&setup, threads_per_rank, [unsplit.loss, split.loss], comparison);
    Ok(Verified { report, gradients: split.gradients })
}

/// What one of the two runs, or a rank of it, comes to.
#[derive(Debug, Default)]
struct Computed {
    loss: f64,
    gradients: Gradients,
}

/// What both runs share: everything checked.
struct Setup<'a> {
    options: &'a Options,
    config: PipelineConfig,
    mesh: DeviceMesh,
    model: AutoModel,
    /// The same model for the unsplit run, which computes nothing again.
    plain: AutoModel,
    plan: PipelinePlan,
    batch: Checked,
}

impl<'a> Setup<'a> {
    /// Looks at everything that can be looked at, so that all problems are told at once.
    fn prepare(options: &'a Options) -> Result<Self, Vec<Error>> {
        let mut problems: Vec<Error> = Vec::new();
        let Options { pp_size, dtype, tolerance, .. } = *options;
        if dtype == DType::Float64 {
            problems.push(Error::Precision { dtype });
        }
        if !(tolerance.is_finite() && tolerance >= 0.0) {
            problems.push(Error::Tolerance { tolerance });
        }
        let mesh = found(&mut problems, mesh_of(pp_size));
        let model = found(&mut problems, model(options, options.recompute));
        // What is wrong with it is wrong with the other.
        let plain = model.as_ref().and_then(|_| {
            found(&mut problems, self::model(options, ActivationCheckpointing::None))
        });
        let table = found(&mut problems, table(options));
        problems.extend(split_of_one(table.as_ref(), &options.split));
        let batch = match (&model, &table) {
            (Some(model), Some(table)) => {
                batch::batch(&options.batch, options.seed, model, table.num_microbatches())
                    .map_err(|found| problems.extend(found))
                    .ok()
            }
            _ => None,
        };
        let decided = match (&model, &table, &batch) {
            (Some(model), Some(table), Some(batch)) => {
                found(&mut problems, planned(options, table, model, batch))
            }
            _ => None,
        };
        match (mesh, model, plain, decided, batch) {
            (Some(mesh), Some(model), Some(plain), Some((config, plan)), Some(batch))
                if problems.is_empty() =>
            {
                Ok(Self { options, config, mesh, model, plain, plan, batch })
            }
            _ => Err(problems),
        }
    }
}

/// The model, to be trained as the options say.
fn model(options: &Options, again: ActivationCheckpointing) -> Result<AutoModel, Error> {
    let lora = options.adapter.as_ref().map(|folder| Lora::load(folder)).transpose()?;
    let training = models::Options {
        dtype: candle_dtype(options.dtype),
        freeze: options.freeze.clone(),
        lora,
        recompute: recompute(again),
        check_finite: false,
    };
    load_or_draw(&options.model, options.seed, training)
}

/// What each rank computes.
fn table(options: &Options) -> Result<Plan, Error> {
    match &options.schedule {
        Schedule::Named { kind, stages_per_rank, num_microbatches } => {
            table_of(*kind, options.pp_size, *stages_per_rank, *num_microbatches)
        }
        Schedule::Table { path, num_microbatches } => {
            let table = read_table(path)?;
            match *num_microbatches {
                Some(asked) if asked != table.num_microbatches() => Err(Error::TableMicrobatches {
                    path: path.clone(),
                    table: table.num_microbatches(),
                    asked,
                }),
                _ => Ok(table),
            }
        }
    }
}

fn planned(
    options: &Options,
    table: &Plan,
    model: &AutoModel,
    batch: &Checked,
) -> Result<(PipelineConfig, PipelinePlan), Error> {
    let config = PipelineConfig {
        pp_microbatch_size: batch.batch_size / table.num_microbatches().max(1),
        pp_batch_size: batch.batch_size,
        dtype: Some(options.dtype),
        loss_fn: Some(LossName::MaskedCrossEntropy),
        ..PipelineConfig::default()
    };
    let workload =
        workload(&config, batch.seq_len, ParameterBytes::adamw(model.dtype().size_in_bytes()));
    let graph = model.as_model().graph();
    if graph.modules().all(|module| module.num_trainable() == 0) {
        let num_parameters = graph.modules().map(|module| module.parameters.len()).sum();
        return Err(autopipe::Error::NothingToTrain { num_parameters }.into());
    }
    let sizes = (options.pp_size, DataParallel::NONE);
    Ok(decide(&config, Some(table), sizes, &graph, &options.split, &workload)?)
}
