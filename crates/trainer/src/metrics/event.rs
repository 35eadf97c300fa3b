//! What a run tells its observer.

use std::path::PathBuf;

use autopipe::schedule::Timeline;

use super::{EvalRecord, StepRecord};
use crate::data::Skipped;

/// What a run tells its observer; the only way in which it says anything.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Everything is checked and built, and the first step begins.
    Planned {
        /// The run in a few lines: stages, schedule, parameters, data.
        summary: String,
        /// Steps that the run will take.
        num_steps: usize,
    },
    /// The run goes on from a checkpoint, with the step after it.
    Resumed {
        /// The step after which it was taken.
        step: usize,
        /// Its folder.
        path: PathBuf,
    },
    /// A step is done.
    Step(StepRecord),
    /// The validation data has been gone through.
    Evaluated(EvalRecord),
    /// Something was left out, and the run goes on.
    Skipped {
        /// The step during which that was.
        step: usize,
        /// What: `the update`, `record 3 of a.jsonl`.
        what: String,
        /// Why.
        reason: String,
    },
    /// When every action of the last step happened, in seconds.
    Measured {
        /// All ranks' actions.
        timeline: Timeline,
        /// Where it was written; `None` if the run has no folder.
        path: Option<PathBuf>,
    },
    /// A step stands beside what was predicted.
    Traced {
        /// The step.
        step: usize,
        /// The file, for ui.perfetto.dev.
        path: PathBuf,
        /// The differences, in a few lines.
        summary: String,
    },
    /// A checkpoint is being written while training goes on.
    Saving {
        /// The step after which it was taken.
        step: usize,
        /// The folder that it will be in.
        path: PathBuf,
    },
    /// A checkpoint is whole.
    Saved {
        /// The step after which it was taken.
        step: usize,
        /// Its folder.
        path: PathBuf,
    },
    /// The run was asked to end early: it ends after this step, with a checkpoint.
    Stopping {
        /// The last step.
        step: usize,
    },
    /// The last step is done.
    Finished {
        /// Steps taken.
        num_steps: usize,
        /// Label tokens of all steps.
        tokens: u64,
        /// How long all of it took.
        seconds: f64,
        /// The last step's loss.
        loss: f64,
        /// Samples that were left out, since the data were first read.
        left_out: Skipped,
    },
}
