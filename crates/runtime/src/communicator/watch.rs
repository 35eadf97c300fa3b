//! What a rank waits for just now, for messages about runs that are told to end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Tag;
use super::mailbox::PostOffice;
use crate::Failure;

/// What a rank waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A message of this tag.
    Message(Tag),
    /// A rank's part in what all ranks of a group do together.
    Collective,
    /// All ranks, to begin anew after a failure.
    Recovery,
}

/// A rank's wait for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The world rank that is waited for.
    pub rank: usize,
    /// What for.
    pub awaited: Awaited,
    /// How long so far.
    pub waited: Duration,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rank, awaited, waited } = self;
        match awaited {
            Awaited::Message(tag) => write!(f, "{tag} of rank {rank}")?,
            Awaited::Collective => write!(f, "rank {rank} to do the same")?,
            Awaited::Recovery => write!(f, "rank {rank} to recover")?,
        }
        write!(f, ", for {:.1} s", waited.as_secs_f64())
    }
}

/// Looks at a rank from outside, on whatever thread: what it waits for and why its world has failed.
#[derive(Clone, Debug)]
pub struct Watch {
    pub(super) office: Arc<PostOffice>,
    pub(super) rank: usize,
}

impl Watch {
    /// The rank in the world.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// What the rank waits for just now, `None` if it computes or has ended.
    pub fn waiting(&self) -> Option<Waiting> {
        self.office.waiting(self.rank)
    }

    /// What the rank was waiting for when it was told that its world has failed, `None` if it waited for
    /// nothing then, or nothing has failed.
    pub fn interrupted(&self) -> Option<Waiting> {
        self.office.interrupted(self.rank)
    }

    /// The failure of the world, the same on every rank. It is asked for after the end of a run to
    /// know which rank has something to say: the others only repeat it.
    pub fn failure(&self) -> Option<Failure> {
        self.office.failure()
    }

    /// The ranks whose processes have ended without a word: each of the others has to say so itself.
    pub fn lost(&self) -> Vec<usize> {
        self.office.lost()
    }

    /// A rank that has ended before its time, and why.
    pub(crate) fn fallen(&self) -> Option<(usize, String)> {
        self.office.fallen()
    }
}
