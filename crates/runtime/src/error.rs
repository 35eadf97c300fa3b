//! How a rank fails, and what the other ranks learn of it.

use std::fmt;
use std::time::Duration;

use autopipe_schedule::Action;

/// The first thing that went wrong in a world of ranks, in words that every rank can repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The rank, in the world, that failed.
    pub rank: usize,
    /// What it was doing, `None` outside of a pipeline step.
    pub at: Option<FailedAction>,
    /// Why.
    pub cause: String,
}

/// Where in a run an action failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedAction {
    /// The pipeline step of this worker, counted from 0 over training and evaluation; an optimiser
    /// step that accumulates gradients has several.
    pub step: usize,
    /// The action, in the schedule's own notation when printed.
    pub action: Action,
}

impl fmt::Display for FailedAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pipeline step {}, action {}", self.step, self.action)
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

/// An error of the runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An action of this rank failed.
    #[error("{at}: {source}")]
    Action {
        /// The rank in the world.
        rank: usize,
        /// Step and action.
        at: FailedAction,
        /// What went wrong.
        source: ActionError,
    },
    /// The loss could not be read off the device at the end of a step.
    #[error("rank {rank}: the loss of microbatch {microbatch} cannot be read: {source}")]
    Loss {
        /// The rank in the world that owns the last stage.
        rank: usize,
        /// Which microbatch's.
        microbatch: usize,
        /// What candle says.
        source: candle_core::Error,
    },
    /// Another rank failed, and this one stopped.
    #[error("stopped because another rank failed: {0}")]
    Stopped(Failure),
    /// A message did not come.
    #[error(
        "waited {waited:?} for a message of rank {from}; if its work takes longer than that, raise the timeout"
    )]
    Timeout {
        /// The rank, in this communicator, that should have sent.
        from: usize,
        /// How long this rank waited.
        waited: Duration,
    },
    /// A peer that the communicator does not have.
    #[error("rank {rank} is not in a communicator of {size} ranks")]
    NoSuchRank {
        /// The rank asked for.
        rank: usize,
        /// How many there are.
        size: usize,
    },
    /// Ranks gave values of different number to one reduction.
    #[error("rank {rank} gave {got} values to an all-reduce in which rank 0 gave {expected}")]
    UnevenReduction {
        /// The rank that differs.
        rank: usize,
        /// How many values it gave.
        got: usize,
        /// How many rank 0 gave.
        expected: usize,
    },
    /// The batch does not fit the program.
    #[error("{0}")]
    Batch(#[from] crate::batch::BatchError),
    /// The program has an action that a rank cannot run.
    #[error(
        "a rank cannot run {action}; it knows no tied parameters and no optimiser, so lower the schedule without REDUCE_TIED and OPTIMIZER_STEP"
    )]
    CannotRun {
        /// The first such action.
        action: Action,
    },
    /// The worker was given another set of stages than its program computes.
    #[error(
        "the program gives rank {rank} the stages {expected:?}, but the stages {got:?} were built"
    )]
    WrongStages {
        /// The rank in the pipeline's communicator.
        rank: usize,
        /// The stages of the program.
        expected: Vec<usize>,
        /// The stages that came.
        got: Vec<usize>,
    },
    /// The ways of the tensors are those of another split.
    #[error("the program has {stages} stages, the routes of the tensors are for {routes}")]
    WrongRoutes {
        /// Stages that the routes are for.
        routes: usize,
        /// Stages of the program.
        stages: usize,
    },
    /// Program and communicator disagree.
    #[error("the program is for {program} ranks, the communicator has {communicator}")]
    WrongWorld {
        /// Ranks in the program.
        program: usize,
        /// Ranks in the communicator.
        communicator: usize,
    },
    /// Programs that do not go together.
    #[error(
        "a worker trains with a program of {train} microbatches that goes backward ({backward}) and \
         evaluates with one of {eval} that only goes forward ({forward}); both have to hold, with as \
         many microbatches"
    )]
    WrongPrograms {
        /// Microbatches of the one to train with.
        train: usize,
        /// Whether it has a backward.
        backward: bool,
        /// Microbatches of the one to evaluate with.
        eval: usize,
        /// Whether it has none.
        forward: bool,
    },
    /// A step after a failed one.
    #[error("a former step failed ({0}); build the pipeline again to go on")]
    Unusable(String),
}

/// Why one action failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// A tensor operation of the stage, the loss or the runtime.
    #[error(transparent)]
    Tensor(candle_core::Error),
    /// The stage or the loss panicked.
    #[error("panicked: {0}")]
    Panic(String),
    /// Sending or receiving failed.
    #[error(transparent)]
    Communication(Box<Error>),
    /// The number of gradients that came is not the number of outputs.
    #[error("{got} gradients came for {expected} outputs")]
    GradientCount {
        /// How many came.
        got: usize,
        /// How many outputs of the stage can have a gradient.
        expected: usize,
    },
    /// The stage makes another number of tensors than its module graph says.
    #[error(
        "the stage returns {got} tensors for later stages, its module graph has {expected}; return \
         one for each tensor that leaves the stage, in the order of the modules that make them"
    )]
    OutputCount {
        /// How many it returned.
        got: usize,
        /// How many tensors of the graph start on this stage and end on a later one.
        expected: usize,
    },
    /// The former stage sent another number of tensors than the module graph says.
    #[error("{got} tensors came from the former stage, the module graph has {expected}")]
    TensorCount {
        /// How many came.
        got: usize,
        /// How many cross the boundary.
        expected: usize,
    },
    /// The loss is not one number.
    #[error("the loss has shape {dims:?}; it has to be one number, such as a sum or a mean")]
    LossShape {
        /// Its dimensions.
        dims: Vec<usize>,
    },
    /// What this action computes with did not come.
    #[error(
        "waited {waited:?} for {awaited} of rank {rank}; if its work takes longer than that, raise the timeout"
    )]
    Late {
        /// The send that should have come.
        awaited: Action,
        /// The world rank that should have sent.
        rank: usize,
        /// How long this rank waited.
        waited: Duration,
    },
}

impl From<candle_core::Error> for ActionError {
    /// Without the backtrace, which candle prints in the midst of the message: rank, step and action
    /// say where it was.
    fn from(error: candle_core::Error) -> Self {
        match error {
            candle_core::Error::WithBacktrace { inner, .. } => Self::from(*inner),
            other => Self::Tensor(other),
        }
    }
}
