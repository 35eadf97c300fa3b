//! What is probably not meant in a plan, although it can be run.

use autopipe_config::Unsupported;
use autopipe_splitter::short_bytes;

use super::{Forecast, Workload};
use crate::PipelinePlan;

/// How much more than the mean a stage may take before it is worth a word.
const HEAVY: f64 = 1.3;

/// How much more than the mean its rank takes then.
const HEAVY_RANK: f64 = 1.1;

/// Something about a plan that is probably not meant.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// All others wait for this stage.
    #[error(
        "stage {stage} takes {:.0}% more time than the mean of {num_stages} stages, and the others wait \
         for its rank; where layers can be shared out otherwise, a balanced split gives it less",
        100.0 * (.ratio - 1.0)
    )]
    HeavyStage {
        /// The stage.
        stage: usize,
        /// How many stages there are.
        num_stages: usize,
        /// Its time in those of the mean stage.
        ratio: f64,
    },
    /// The pipeline is never full.
    #[error(
        "{num_microbatches} microbatches do not fill {num_stages} stages; raise the batch or make \
         pp_microbatch_size smaller, to have at least as many"
    )]
    FewMicrobatches {
        /// Microbatches of a step.
        num_microbatches: usize,
        /// Stages of the pipeline.
        num_stages: usize,
    },
    /// A rank has less memory than it needs.
    #[error(
        "{num} of {num_ranks} ranks have less memory than they need, rank {rank} most: it needs {} and has \
         {}; use more pipeline ranks, a smaller microbatch, or a \
         schedule that holds fewer activations",
        short_bytes(*.needed),
        short_bytes(*.limit)
    )]
    Memory {
        /// How many ranks have too little.
        num: usize,
        /// How many ranks there are.
        num_ranks: usize,
        /// The rank that needs most.
        rank: usize,
        /// Bytes that it needs at its peak.
        needed: f64,
        /// Bytes that it has.
        limit: f64,
    },
    /// An option that makes no difference.
    #[error("{0}")]
    WithoutEffect(Unsupported),
}

/// Everything about a plan that is probably not meant.
pub fn warnings(plan: &PipelinePlan, forecast: &Forecast, workload: &Workload) -> Vec<Warning> {
    let num_stages = forecast.stages.len();
    let sum: f64 = forecast.stages.iter().map(|stage| stage.time).sum();
    let mean = sum / super::float(num_stages.max(1));
    let mut of_ranks = vec![0.0; forecast.ranks.len()];
    for stage in &forecast.stages {
        of_ranks[stage.rank] += stage.time;
    }
    // A heavy stage beside a light one of the same rank holds up nobody.
    let mean_rank = sum / super::float(of_ranks.len().max(1));
    let heavy = forecast
        .stages
        .iter()
        .filter(|stage| stage.time > HEAVY * mean && of_ranks[stage.rank] > HEAVY_RANK * mean_rank);
    let heavy = heavy.map(|stage| Warning::HeavyStage {
        stage: stage.stage,
        num_stages,
        ratio: stage.time / mean,
    });
    let mut warnings: Vec<Warning> = heavy.collect();
    let num_microbatches = plan.table.num_microbatches();
    if num_microbatches < num_stages {
        warnings.push(Warning::FewMicrobatches { num_microbatches, num_stages });
    }
    if let Some(limit) = workload.memory_limit {
        let num = forecast.ranks.iter().filter(|rank| rank.total() > limit).count();
        let fullest = forecast.ranks.iter().max_by(|a, b| a.total().total_cmp(&b.total()));
        warnings.extend(fullest.filter(|_| num > 0).map(|fullest| Warning::Memory {
            num,
            num_ranks: forecast.ranks.len(),
            rank: fullest.rank,
            needed: fullest.total(),
            limit,
        }));
    }
    warnings.extend(plan.without_effect.iter().cloned().map(Warning::WithoutEffect));
    warnings
}
