//! From a recipe to a checkpoint: checks everything, starts the ranks, and brings back the result.

mod data;
mod data_order;
mod folder;
mod from_recipe;
mod gpus;
mod job;
mod model;
mod optimizer;
mod options;
mod process;
mod rank;
mod refused;
mod resume;
mod space;
mod summary;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use autopipe::{RankError, threads};
use autopipe_config::Recipe;

use crate::data::Skipped;
use crate::{Error, Event, Stopwatch};
pub use from_recipe::{model_config, num_ranks, pipeline_config, read_schedule, split_of};
pub(crate) use from_recipe::{read_regular, read_table};
use job::{Here, Job};
pub(crate) use job::{decide, found, mesh_of, split_of_one, table_of, workload};
pub(crate) use model::{candle_dtype, load_or_draw, recompute, saved_dtype};
pub use model::{trained_dtype, trained_graph};
pub use optimizer::parameter_bytes;
pub use options::{Stop, TrainOptions};
pub use process::{ProcessProblem, train_in};
use rank::RankRun;
pub(crate) use rank::{loss_fn, pipeline};
pub use space::NoSpace;

/// What a run has come to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finished {
    /// The last step's loss, in nats per token; of a run without steps, that of its evaluation.
    pub loss: f64,
    /// Steps that were taken.
    pub num_steps: usize,
    /// Their label tokens.
    pub num_tokens: u64,
    /// The last checkpoint; `None` if the recipe wants none.
    pub checkpoint: Option<PathBuf>,
    /// Samples that were left out, since the data were first read.
    pub left_out: Skipped,
    /// Whether the run has ended before its last step because it was asked to.
    pub is_stopped: bool,
}

impl Finished {
    /// What the observer hears last.
    fn told(&self, stopwatch: &Stopwatch) -> Event {
        Event::Finished {
            num_steps: self.num_steps,
            tokens: self.num_tokens,
            seconds: stopwatch.seconds(),
            loss: self.loss,
            left_out: self.left_out,
        }
    }
}

impl Default for Finished {
    /// Nothing is done yet.
    fn default() -> Self {
        let loss = f64::NAN;
        let left_out = Skipped::default();
        Self { loss, num_steps: 0, num_tokens: 0, checkpoint: None, left_out, is_stopped: false }
    }
}

/// Trains as `recipe` says, each pipeline rank on threads of its own, and tells `observe` what
/// happens. Paths in the recipe are relative to the working directory.
///
/// # Errors
/// Before the first step, everything that is wrong with model, data, sizes, schedule or run folder.
/// Later, the rank that failed first and why.
pub fn train(
    recipe: &Recipe,
    options: &TrainOptions,
    observe: &(dyn Fn(Event) + Sync),
) -> Result<Finished, TrainError> {
    let stopwatch = Stopwatch::start();
    let mut job = Job::prepare(recipe, options, Here::All).map_err(TrainError::Prepare)?;
    // Last, because it leaves a folder behind.
    job.open_run_dir().map_err(|problem| TrainError::Prepare(vec![problem]))?;
    observe(job.planned());
    job.resumed().map(observe);
    let run = |world| RankRun::new(&job, world, observe)?.run();
    let ranks = threads(job.num_ranks(), &options.threads, run).map_err(TrainError::Rank)?;
    // All ranks report the same, and a mesh has at least one.
    let none = || TrainError::Prepare(vec![Error::Zero { name: "pp_size" }]);
    let finished = ranks.into_iter().next().ok_or_else(none)?;
    observe(finished.told(&stopwatch));
    Ok(finished)
}

/// Why a run ended before its time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// What was wrong before the ranks started: everything, at least one problem.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Prepare(Vec<Error>),
    /// A rank failed, and the others stopped.
    #[error(transparent)]
    Rank(RankError<Error>),
}
