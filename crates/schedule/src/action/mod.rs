//! The words of the schedule language: what a rank computes, sends and receives, and does besides.

mod parse;
#[cfg(test)]
mod tests;
mod transfer;
mod work;

use std::fmt;

pub use parse::ParseActionError;
pub use transfer::{Direction, Transfer};
pub use work::{Compute, ComputeOp, Overlap, Parts, Work};

use crate::{MicroBatch, Stage};

/// One entry of a [`Program`](crate::Program): eight bytes, printed as torch prints it.
///
/// # Examples
/// ```
/// use autopipe_schedule::{Action, Direction};
///
/// let action: Action = "2SEND_B0".parse()?;
/// let Action::Send(transfer) = action else { unreachable!() };
/// assert_eq!(transfer.direction, Direction::Backward);
/// assert_eq!(transfer.receiver().index(), 1);
/// assert_eq!(action.to_string(), "2SEND_B0");
/// # Ok::<(), autopipe_schedule::ParseActionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// `F`, `I`, `W`, `B` or `R`.
    Compute(Compute),
    /// `OVERLAP_F_B`: a forward and a backward as one.
    Overlap(Overlap),
    /// `SEND_F` or `SEND_B`: hands tensors to the transport and goes on.
    Send(Transfer),
    /// `RECV_F` or `RECV_B`: asks the transport for tensors and goes on; the computation that uses
    /// them waits.
    Recv(Transfer),
    /// `WAIT_SEND_F` or `WAIT_SEND_B`: waits until what was sent has been taken, so that its memory
    /// can go.
    WaitSend(Transfer),
    /// `UNSHARD`: asks for the whole of a stage's sharded parameters and goes on; the next
    /// computation of the stage waits.
    Unshard(Stage),
    /// `RESHARD`: gives all but the own shard of a stage's parameters up.
    Reshard(Stage),
    /// `REDUCE_GRAD`: starts to sum a stage's gradients over its data-parallel copies.
    ReduceGrad(Stage),
    /// `WAIT_REDUCE_GRAD`: waits for that sum.
    WaitReduceGrad(Stage),
    /// `REDUCE_TIED`: sums the gradients of what the stages of a group share, on all their ranks,
    /// and waits for the sum. torch has no such action.
    ReduceTied {
        /// One of the stages that share parameters.
        stage: Stage,
        /// The number of the group, which all of them name.
        group: u16,
    },
    /// `OPTIMIZER_STEP`: updates a stage's parameters. torch has no such action.
    OptimizerStep(Stage),
}

impl Action {
    /// What it computes, if it computes.
    #[inline]
    #[must_use]
    pub fn work(self) -> Option<Work> {
        match self {
            Self::Compute(compute) => Some(Work::Compute(compute)),
            Self::Overlap(overlap) => Some(Work::Overlap(overlap)),
            Self::Send(_)
            | Self::Recv(_)
            | Self::WaitSend(_)
            | Self::Unshard(_)
            | Self::Reshard(_)
            | Self::ReduceGrad(_)
            | Self::WaitReduceGrad(_)
            | Self::ReduceTied { .. }
            | Self::OptimizerStep(_) => None,
        }
    }

    /// Its computations: none, one, or the two of an overlap, the forward first.
    #[inline]
    #[must_use]
    pub fn computes(self) -> Parts {
        self.work().map_or(Parts::NONE, Work::parts)
    }

    /// The stage whose action it is; none of an overlap, which has two.
    #[must_use]
    pub fn stage(self) -> Option<Stage> {
        match self {
            Self::Compute(compute) => Some(compute.stage),
            Self::Overlap(_) => None,
            Self::Send(transfer) | Self::Recv(transfer) | Self::WaitSend(transfer) => {
                Some(transfer.stage)
            }
            Self::Unshard(stage)
            | Self::Reshard(stage)
            | Self::ReduceGrad(stage)
            | Self::WaitReduceGrad(stage)
            | Self::ReduceTied { stage, .. }
            | Self::OptimizerStep(stage) => Some(stage),
        }
    }

    /// The microbatch it is about; none of an overlap, which has two, and of what concerns a stage
    /// as a whole.
    #[must_use]
    pub fn microbatch(self) -> Option<MicroBatch> {
        match self {
            Self::Compute(compute) => Some(compute.microbatch),
            Self::Send(transfer) | Self::Recv(transfer) | Self::WaitSend(transfer) => {
                Some(transfer.microbatch)
            }
            Self::Overlap(_)
            | Self::Unshard(_)
            | Self::Reshard(_)
            | Self::ReduceGrad(_)
            | Self::WaitReduceGrad(_)
            | Self::ReduceTied { .. }
            | Self::OptimizerStep(_) => None,
        }
    }

    /// The other end of a message: of a send its receive, of a receive its send. A transfer beyond
    /// the first stage has none, nor has anything else.
    pub(crate) fn counterpart(self) -> Option<Self> {
        match self {
            Self::Send(transfer) => {
                let stage = transfer.direction.receiver_of(transfer.stage)?;
                Some(Self::Recv(Transfer { stage, ..transfer }))
            }
            Self::Recv(transfer) => {
                let stage = transfer.direction.sender_to(transfer.stage)?;
                Some(Self::Send(Transfer { stage, ..transfer }))
            }
            Self::Compute(_)
            | Self::Overlap(_)
            | Self::WaitSend(_)
            | Self::Unshard(_)
            | Self::Reshard(_)
            | Self::ReduceGrad(_)
            | Self::WaitReduceGrad(_)
            | Self::ReduceTied { .. }
            | Self::OptimizerStep(_) => None,
        }
    }
}

impl From<Compute> for Action {
    fn from(compute: Compute) -> Self {
        Self::Compute(compute)
    }
}

impl From<Overlap> for Action {
    fn from(overlap: Overlap) -> Self {
        Self::Overlap(overlap)
    }
}

impl From<Work> for Action {
    fn from(work: Work) -> Self {
        match work {
            Work::Compute(compute) => Self::Compute(compute),
            Work::Overlap(overlap) => Self::Overlap(overlap),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut transfer = |word: &str, transfer: &Transfer| {
            let Transfer { direction, stage, microbatch } = transfer;
            write!(f, "{stage}{word}_{direction}{microbatch}")
        };
        match self {
            Self::Compute(compute) => compute.fmt(f),
            Self::Overlap(overlap) => overlap.fmt(f),
            Self::Send(sent) => transfer("SEND", sent),
            Self::Recv(received) => transfer("RECV", received),
            Self::WaitSend(sent) => transfer("WAIT_SEND", sent),
            Self::Unshard(stage) => write!(f, "{stage}UNSHARD"),
            Self::Reshard(stage) => write!(f, "{stage}RESHARD"),
            Self::ReduceGrad(stage) => write!(f, "{stage}REDUCE_GRAD"),
            Self::WaitReduceGrad(stage) => write!(f, "{stage}WAIT_REDUCE_GRAD"),
            Self::ReduceTied { stage, group } => write!(f, "{stage}REDUCE_TIED{group}"),
            Self::OptimizerStep(stage) => write!(f, "{stage}OPTIMIZER_STEP"),
        }
    }
}
