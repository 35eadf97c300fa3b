//! The first thing that went wrong in a world of ranks, and where in a run.

use std::fmt;

use autopipe_schedule::Action;

/// The first thing that went wrong in a world of ranks, in words that every rank can repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The rank, in the world, that failed.
    pub rank: usize,
    /// What it was doing, `None` outside of a pipeline step.
    pub at: Option<Place>,
    /// Why.
    pub cause: String,
}

/// Where in a run a rank is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The pipeline step of this worker, counted from 0 over training and evaluation; an optimiser
    /// step that accumulates gradients has several.
    pub step: usize,
    /// What of the step.
    pub part: StepPart,
}

/// What ranks do in a step and for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepPart {
    /// All ranks agree that they take the step, before anything happens.
    Start,
    /// An action of this rank's row, in the schedule's own notation when printed: it begins with
    /// the stage and ends with the microbatch.
    Action(Action),
    /// All ranks learn the losses.
    Losses,
    /// The last stage's outputs come to all ranks, if they are wanted everywhere.
    Outputs,
    /// All ranks learn when everything happened, if the step is measured.
    Times,
    /// Before the step, all ranks make the pipeline usable again.
    Recovery,
}

impl fmt::Display for StepPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Action(action) => write!(f, "action {action}"),
            Self::Losses => f.write_str("sharing the losses"),
            Self::Outputs => f.write_str("sharing the outputs"),
            Self::Times => f.write_str("sharing the times"),
            Self::Recovery => f.write_str("recovering"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pipeline step {}, {}", self.step, self.part)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {}", self.rank)?;
        if let Some(at) = self.at {
            write!(f, ", {at}")?;
        }
        write!(f, ": {}", self.cause)
    }
}
