//! How a rank fails, and what the other ranks learn of it.

mod action;
mod failure;
mod out_of_memory;

use std::time::Duration;

use autopipe_schedule::Action;

use crate::batch::BatchError;
use crate::communicator::link::tcp::MeetingError;
use crate::communicator::nccl::NcclError;
use crate::model::BoxError;

pub use action::{ActionError, Made};
pub(crate) use action::{among, communication};
pub use failure::{Failure, Place, StepPart};
pub use out_of_memory::OutOfMemory;

/// An error of the runtime.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An action of this rank failed, or another part of a step.
    #[error("{at}: {source}")]
    Action {
        /// The rank in the world.
        rank: usize,
        /// Step and action.
        at: Place,
        /// What went wrong.
        source: ActionError,
    },
    /// Another rank failed, and this one stopped.
    #[error("stopped{} because another rank failed: {failure}", stopped_at(.at.as_ref()))]
    Stopped {
        /// How the other failed.
        failure: Failure,
        /// What this one was at, if that was a part of a step.
        at: Option<Place>,
    },
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
    /// Ranks that others wait for have come to their end.
    #[error("nothing more comes of {}; start all ranks again to go on", grouped(.ended, ", "))]
    Ended {
        /// The ranks in the world, and how each ended.
        ended: Vec<(usize, String)>,
    },
    /// A rank waits for this one to recover, which waits for a message of it.
    #[error("rank {rank} waits in `recover`; call it on this rank too")]
    Recovering {
        /// The rank in the world.
        rank: usize,
    },
    /// Not all ranks of the world came to forget its failure.
    #[error(
        "waited {waited:?} for {} to recover as well; all ranks of the world have to",
        listed(.ranks)
    )]
    NotAllRecover {
        /// The ranks, in the world, that did not.
        ranks: Vec<usize>,
        /// How long this rank waited.
        waited: Duration,
    },
    /// The communicator has no way back from a failure.
    #[error("a communicator of this kind cannot forget a failure; start all ranks again to go on")]
    CannotReset,
    /// What a communicator of another kind could not do, in its own words.
    #[error("the transport failed: {0}")]
    Transport(BoxError),
    /// Processes have not found together.
    #[error(transparent)]
    Meeting(#[from] MeetingError),
    /// This rank's GPU cannot be reached by others.
    #[error(transparent)]
    Nccl(#[from] NcclError),
    /// Tensors do not come from one GPU to another.
    #[error("tensors of rank {from} for rank {to}: {source}")]
    Lane {
        /// The world rank that sends them.
        from: usize,
        /// The world rank that receives them.
        to: usize,
        /// What went wrong.
        #[source]
        source: Box<NcclError>,
    },
    /// Ranks cannot be reached in this way by this build.
    #[error(
        "{transport} is not compiled in; build with the feature `{feature}` of autopipe-runtime, or let \
         processes reach each other over TCP"
    )]
    NotCompiled {
        /// How ranks were to be reached.
        transport: &'static str,
        /// What turns it on.
        feature: &'static str,
    },
    /// A process has joined a world of processes before.
    #[error("MPI has been initialised in this process before, and it can be only once")]
    OneWorld,
    /// The MPI library forbids threads.
    #[error(
        "this MPI library was built without threads (MPI_THREAD_FUNNELED), which a rank computes with"
    )]
    SingleThreaded,
    /// A tensor cannot go to another process.
    #[error(
        "tensors of {dtype:?} cannot be sent to another process; they have to be F32, F64, BF16, F16, I64, \
         U32 or U8"
    )]
    Unsendable {
        /// Its number type.
        dtype: candle_core::DType,
    },
    /// A tensor that does not get from one device to another.
    #[error("a tensor cannot be handed over between devices: {source}")]
    HandOver {
        /// What candle says.
        source: candle_core::Error,
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
    /// Ranks gave different tensors to a collective call.
    #[error(
        "rank {rank} gave {got} to a collective call in which this rank has {expected}; shapes and dtypes \
         have to be the same on all ranks"
    )]
    UnequalTensors {
        /// The rank, in the world, that differs.
        rank: usize,
        /// What came of it.
        got: String,
        /// What this rank expects.
        expected: String,
    },
    /// A tensor operation of a collective call.
    #[error("a collective call cannot use the tensor: {0}")]
    Tensor(candle_core::Error),
    /// Ranks refused to take the step, so that none took it. Nothing has happened on any rank, and
    /// the next step can be taken.
    #[error("the step is refused by {}", grouped(.refusals, ": "))]
    Refused {
        /// Who refused, in the world's numbers, and why.
        refusals: Vec<(usize, String)>,
        /// What this rank has against its batch, if it is one of them.
        own: Option<Box<BatchError>>,
    },
    /// The ranks were asked for different things, so that none did anything. The next step can be
    /// taken.
    #[error("the ranks are asked for different steps, {}; make the same call on all", grouped(.calls, " for "))]
    DifferentCalls {
        /// What each rank was asked for, in the world's numbers.
        calls: Vec<(usize, String)>,
    },
    /// The program has an action that a rank cannot run.
    #[error(
        "a rank cannot run {action}; it knows no optimiser, so lower the schedule without OPTIMIZER_STEP"
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
    /// The program sums the gradients of other stages than hold copies of a parameter.
    #[error(
        "the program sums the gradients of tie group {group} over the stages {summed:?}, and its copies \
         are on the stages {tied:?}; lower the schedule with the same ties"
    )]
    WrongTie {
        /// The group's number.
        group: usize,
        /// Stages of the group in the program.
        summed: Vec<usize>,
        /// Stages with a copy.
        tied: Vec<usize>,
    },
    /// The program leaves the gradients of a stage that is trained on several ranks as they are.
    #[error(
        "stage {stage} has replicas, and the program does not sum its gradients; lower the schedule with \
         `reduce_grads`"
    )]
    NotReduced {
        /// The stage.
        stage: usize,
    },
    /// A program lacks what a stage needs whose parameters are shared out.
    #[error(
        "the parameters of stage {stage} are shared out, and a program has no {action}; lower both \
         schedules with `sharding`, and the one to train with with `reduce_grads`"
    )]
    NotSharded {
        /// The stage.
        stage: usize,
        /// What is not there.
        action: Action,
    },
    /// A parameter cannot be shared out.
    #[error("a parameter of stage {stage} cannot be shared out over ranks")]
    NotCut {
        /// The stage.
        stage: usize,
        /// Why not.
        #[source]
        source: Box<autopipe_nn::Error>,
    },
    /// A stage has no copy of a tied parameter, or several.
    #[error(
        "stage {stage} has {found} trainable parameters named {}; it needs one, which all its modules \
         share",
        .names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
    )]
    TiedCopy {
        /// The stage.
        stage: usize,
        /// The names that its copy may have.
        names: Vec<String>,
        /// How many there are.
        found: usize,
    },
    /// There is no such stage to train.
    #[error("the first stage to train is {from}, the program has the stages 0 to {}", num_stages - 1)]
    TrainedFrom {
        /// What was given.
        from: usize,
        /// Stages of the program.
        num_stages: usize,
    },
    /// A parameter that would get no gradient.
    #[error(
        "`{parameter}` on stage {stage} is trainable, but training begins at stage {from}; freeze it or \
         begin at stage {stage}"
    )]
    NotTrained {
        /// The stage.
        stage: usize,
        /// The parameter.
        parameter: String,
        /// The first stage to train, as given.
        from: usize,
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
    #[error("a former step failed ({0}); call `recover` on every rank to go on")]
    Unusable(String),
}

impl From<candle_core::Error> for Error {
    /// Without the backtrace, which candle prints in the midst of the message.
    fn from(error: candle_core::Error) -> Self {
        match error {
            candle_core::Error::WithBacktrace { inner, .. } => Self::from(*inner),
            other => Self::Tensor(other),
        }
    }
}

/// `rank 2`, or `ranks 0, 2`.
pub(crate) fn listed(ranks: &[usize]) -> String {
    let numbers: Vec<String> = ranks.iter().map(ToString::to_string).collect();
    format!("rank{} {}", if ranks.len() == 1 { "" } else { "s" }, numbers.join(", "))
}

/// What ranks say, each thing once: `ranks 0, 2: too few; rank 1: too many`.
fn grouped(said: &[(usize, String)], between: &str) -> String {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    for (rank, words) in said {
        match groups.iter_mut().find(|(known, _)| known == words) {
            Some((_, same)) => same.push(*rank),
            None => groups.push((words, vec![*rank])),
        }
    }
    let groups = groups.iter().map(|(words, same)| format!("{}{between}{words}", listed(same)));
    groups.collect::<Vec<_>>().join("; ")
}

fn stopped_at(at: Option<&Place>) -> String {
    at.map_or(String::new(), |at| format!(" at {at},"))
}

impl From<Failure> for Error {
    /// What stops a rank that is at nothing that it could name.
    fn from(failure: Failure) -> Self {
        Self::Stopped { failure, at: None }
    }
}
