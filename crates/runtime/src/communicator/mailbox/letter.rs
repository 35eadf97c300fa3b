//! What the offices of several processes send each other.

use std::sync::mpsc::Sender;

use super::{Address, Message};
use crate::Failure;

/// Letters of one office to another arrive in the order in which they were sent.
#[derive(Clone, Debug)]
pub(in super::super) enum Letter {
    /// A message for the rank of the office.
    Mail(Address, Message),
    /// The sender's rank made the world fail, before it heard of any failure.
    Stop(Failure),
    /// The sender has heard of a failure; nothing that it sends now was sent before.
    Heard,
    /// The sender's rank has come to its end, because of this if before its time.
    Ended(Option<String>),
    /// The sender's process will end; this is its last letter.
    Leaving,
    /// The sender's rank waits for all to begin anew.
    Resetting,
    /// It asks rank 0 whether it may give up waiting.
    MayLeave,
    /// Rank 0 says that it may: the world will not begin anew without asking it again.
    Leave,
    /// It does not wait any more.
    Staying,
    /// Rank 0 has seen all ranks wait: all begin anew.
    Reset,
    /// The sender's process is there, whatever its rank does.
    Alive,
}

/// A letter on its way to an office, or from there.
#[derive(Clone, Debug)]
pub(in super::super) struct Outgoing {
    /// The world rank at the other end.
    pub(in super::super) peer: usize,
    /// How often the sender's world had begun anew.
    pub(in super::super) num_resets: u64,
    pub(in super::super) letter: Letter,
}

/// The rank whose messages come here, and the way to all others.
#[derive(Debug)]
pub(super) struct Elsewhere {
    pub(super) rank: usize,
    pub(super) outbox: Sender<Outgoing>,
}

impl Elsewhere {
    pub(super) fn send(&self, peer: usize, num_resets: u64, letter: Letter) {
        // A courier that is gone has said so: the world has failed.
        let _ = self.outbox.send(Outgoing { peer, num_resets, letter });
    }
}
