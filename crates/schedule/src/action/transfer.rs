//! What travels between neighbouring stages.

use std::fmt;

use crate::{MicroBatch, Stage};

/// Which way tensors travel between neighbouring stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Activations, to the next stage: `SEND_F` and `RECV_F`.
    Forward,
    /// Gradients of activations, to the stage before: `SEND_B` and `RECV_B`.
    Backward,
}

impl Direction {
    /// To index by direction: 0 forward, 1 backward.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Forward => 0,
            Self::Backward => 1,
        }
    }

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
