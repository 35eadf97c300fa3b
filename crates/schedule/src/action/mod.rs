//! The words of the schedule language: what a rank computes, sends and receives.

mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

pub use parse::ParseActionError;

use crate::{MicroBatch, Stage};

/// What a stage computes of a microbatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ComputeOp {
    /// `F`: the outputs from the inputs.
    Forward,
    /// `I`: the gradient of the inputs, which the stage before waits for.
    BackwardInput,
    /// `W`: the gradients of the weights, which nobody waits for.
    BackwardWeight,
    /// `B`: `I` and `W` in one.
    Backward,
}

impl fmt::Display for ComputeOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward => "F",
            Self::BackwardInput => "I",
            Self::BackwardWeight => "W",
            Self::Backward => "B",
        })
    }
}

/// One piece of work of one stage, such as `2F0`: the only kind of action that a
/// [`Plan`](crate::Plan) has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Compute {
    /// What is computed.
    pub op: ComputeOp,
    /// The stage that computes.
    pub stage: Stage,
    /// What it computes with.
    pub microbatch: MicroBatch,
}

impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.stage, self.op, self.microbatch)
    }
}

/// Which way tensors travel between neighbouring stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Activations, to the next stage: `SEND_F` and `RECV_F`.
    Forward,
    /// Gradients of activations, to the stage before: `SEND_B` and `RECV_B`.
    Backward,
}

impl Direction {
    /// The stage that gets what `sender` sends this way; none at the end of the pipeline.
    pub(crate) fn receiver_of(self, sender: Stage) -> Option<Stage> {
        match self {
            Self::Forward => sender.next(),
            Self::Backward => sender.previous(),
        }
    }

    /// The stage that sends this way to `receiver`; none at the end of the pipeline.
    pub(crate) fn sender_to(self, receiver: Stage) -> Option<Stage> {
        match self {
            Self::Forward => receiver.previous(),
            Self::Backward => receiver.next(),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward => "F",
            Self::Backward => "B",
        })
    }
}

/// What one end of a message between two stages says: which tensors, and whose end it is.
///
/// The sender and the receiver each name their own stage, as torch does: `0SEND_F1` arrives as
/// `1RECV_F1`, and `2SEND_B0` as `1RECV_B0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transfer {
    /// Which way it goes.
    pub direction: Direction,
    /// The stage at this end: the sender's in a send, the receiver's in a receive.
    pub stage: Stage,
    /// Whose tensors they are.
    pub microbatch: MicroBatch,
}

impl Transfer {
    /// Of a send: the stage that receives it.
    ///
    /// # Panics
    /// If there is none, as for gradients of stage 0. In a [`ValidProgram`](crate::ValidProgram)
    /// every send has its receiver.
    #[must_use]
    #[track_caller]
    pub fn receiver(self) -> Stage {
        self.direction.receiver_of(self.stage).expect("a send of a valid program has a receiver")
    }

    /// Of a receive: the send that it waits for.
    ///
    /// # Panics
    /// If there is none, as for activations of stage 0. In a [`ValidProgram`](crate::ValidProgram)
    /// every receive has its sender.
    #[must_use]
    #[track_caller]
    pub fn counterpart(self) -> Self {
        let stage = self.direction.sender_to(self.stage);
        Self { stage: stage.expect("a receive of a valid program has a sender"), ..self }
    }
}

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
    /// `F`, `I`, `W` or `B`.
    Compute(Compute),
    /// `SEND_F` or `SEND_B`: hands tensors to the transport and goes on.
    Send(Transfer),
    /// `RECV_F` or `RECV_B`: takes tensors from the transport.
    Recv(Transfer),
}

impl Action {
    /// The stage whose action it is.
    #[must_use]
    pub fn stage(self) -> Stage {
        match self {
            Self::Compute(compute) => compute.stage,
            Self::Send(transfer) | Self::Recv(transfer) => transfer.stage,
        }
    }

    /// The microbatch it is about.
    #[must_use]
    pub fn microbatch(self) -> MicroBatch {
        match self {
            Self::Compute(compute) => compute.microbatch,
            Self::Send(transfer) | Self::Recv(transfer) => transfer.microbatch,
        }
    }

    /// The other end of a message: of a send its receive, of a receive its send. A computation has
    /// none, nor has a transfer beyond the first stage.
    pub(crate) fn counterpart(self) -> Option<Self> {
        match self {
            Self::Compute(_) => None,
            Self::Send(transfer) => {
                let stage = transfer.direction.receiver_of(transfer.stage)?;
                Some(Self::Recv(Transfer { stage, ..transfer }))
            }
            Self::Recv(transfer) => {
                let stage = transfer.direction.sender_to(transfer.stage)?;
                Some(Self::Send(Transfer { stage, ..transfer }))
            }
        }
    }
}

impl From<Compute> for Action {
    fn from(compute: Compute) -> Self {
        Self::Compute(compute)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compute(compute) => compute.fmt(f),
            Self::Send(Transfer { direction, stage, microbatch }) => {
                write!(f, "{stage}SEND_{direction}{microbatch}")
            }
            Self::Recv(Transfer { direction, stage, microbatch }) => {
                write!(f, "{stage}RECV_{direction}{microbatch}")
            }
        }
    }
}
