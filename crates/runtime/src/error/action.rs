//! Why one part of a step failed.

use std::fmt;
use std::time::Duration;

use autopipe_schedule::Action;

use super::{Error, OutOfMemory};
use crate::Communicator;

/// Why an action, or another part of a step, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// A tensor operation of the stage, the loss or the runtime.
    #[error(transparent)]
    Tensor(candle_core::Error),
    /// The same, for which the GPU has too little memory.
    #[error(transparent)]
    OutOfMemory(OutOfMemory),
    /// The stage, the loss or the communicator panicked.
    #[error("panicked: {0}")]
    Panic(String),
    /// This rank failed elsewhere than in this action: on a thread that computes for it, or that carries
    /// its messages, or because the others have given it up.
    #[error("{0}")]
    Elsewhere(String),
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
    /// A tensor-parallel rank did not come to a sum.
    #[error(
        "waited {waited:?} for the tensor-parallel sum of rank {rank}; if its work takes longer than that, raise the timeout"
    )]
    LateSum {
        /// The world rank that is missing.
        rank: usize,
        /// How long this rank waited.
        waited: Duration,
    },
    /// A replica has other parameters.
    #[error(
        "rank {rank} has {got} tensors for {awaited}, this rank {expected}; all replicas have to be built alike"
    )]
    SumOf {
        /// The sum.
        awaited: Action,
        /// The world rank that has another number.
        rank: usize,
        /// What came from there.
        got: usize,
        /// What this rank has.
        expected: usize,
    },
    /// A rank did not come to what all ranks do together.
    #[error(
        "waited {waited:?} for rank {rank} to do the same; if its work takes longer than that, raise the timeout"
    )]
    Absent {
        /// The world rank that is missing.
        rank: usize,
        /// How long this rank waited.
        waited: Duration,
    },
    /// The loss is not one number.
    #[error("the loss has shape {dims:?}; it has to be one number, such as a sum or a mean")]
    LossShape {
        /// Its dimensions.
        dims: Vec<usize>,
    },
    /// The loss cannot be read off the device.
    #[error("the loss of microbatch {microbatch} cannot be read: {source}")]
    Loss {
        /// Which microbatch's.
        microbatch: usize,
        /// What candle says.
        source: Box<candle_core::Error>,
    },
    /// [`Guard::Loss`](crate::Guard::Loss) found a loss that no training can go on with.
    #[error(
        "the loss of microbatch {microbatch} is {loss}; lower the learning rate or look at the data of this step (Guard::All names the action that made the first such number)"
    )]
    LossNotFinite {
        /// Which microbatch's.
        microbatch: usize,
        /// The loss times the batch's loss scale.
        loss: f64,
    },
    /// [`Guard::All`](crate::Guard::All) found a tensor that is not made of numbers alone.
    #[error(
        "{made} of stage {stage} for microbatch {microbatch} has {nans} NaNs and {infinities} infinities among {of} numbers"
    )]
    NotFinite {
        /// Which tensor.
        made: Made,
        /// The stage that computed it.
        stage: usize,
        /// Which microbatch's.
        microbatch: usize,
        /// How many of its elements are NaN.
        nans: usize,
        /// How many are infinite.
        infinities: usize,
        /// How many it has.
        of: usize,
    },
}

/// A tensor that a stage makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// The output of this place.
    Output(usize),
    /// A gradient for the former stage, by its place among those: tensors of integers have none.
    InputGrad(usize),
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(place) => write!(f, "output {place}"),
            Self::InputGrad(place) => write!(f, "input gradient {place}"),
        }
    }
}

/// What a communicator could not do, as the reason for an action's failure.
pub(crate) fn communication(error: Error) -> ActionError {
    match error {
        // A rank makes room for what comes.
        Error::HandOver { source } => match OutOfMemory::of(source) {
            Ok(error) => ActionError::OutOfMemory(error),
            Err(source) => ActionError::Communication(Box::new(Error::HandOver { source })),
        },
        Error::Tensor(source) => match OutOfMemory::of(source) {
            Ok(error) => ActionError::OutOfMemory(error),
            Err(source) => ActionError::Communication(Box::new(Error::Tensor(source))),
        },
        other => ActionError::Communication(Box::new(other)),
    }
}

/// The same of a group's communicator: who did not come has another number there than in the world.
pub(crate) fn among(comm: &dyn Communicator, error: Error) -> ActionError {
    match error {
        Error::Timeout { from, waited } => {
            ActionError::Absent { rank: comm.members()[from], waited }
        }
        other => communication(other),
    }
}

impl From<candle_core::Error> for ActionError {
    /// Without the backtrace, which candle prints in the midst of the message: rank, step and action
    /// say where it was.
    fn from(error: candle_core::Error) -> Self {
        match error {
            candle_core::Error::WithBacktrace { inner, .. } => Self::from(*inner),
            other => OutOfMemory::of(other).map_or_else(Self::Tensor, Self::OutOfMemory),
        }
    }
}
