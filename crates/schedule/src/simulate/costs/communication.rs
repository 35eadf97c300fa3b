//! The ways in which a message can get from one rank to another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::CostProblem;

/// When a message passes, given when it is sent and when its receive is posted.
///
/// `validate` has proved that a program comes to its end with each of them, and each is at least
/// as slow as the one before. A message takes its latency and its size by the bandwidth.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Communication {
    /// A message leaves as soon as it is sent, and its send is through at once: the transport
    /// buffers. This is what the papers assume.
    #[default]
    Async,
    /// A message leaves when it is sent and its receive is posted. Its send is through when it has
    /// arrived.
    Rendezvous,
    /// As for rendezvous, and a rank has one queue of all its sends and receives in the order of its
    /// row: a message leaves when it is the first in the queues of both its ranks, and stays there
    /// until it has arrived. So NCCL works, where each is a kernel in one stream.
    Nccl,
}

impl Communication {
    /// Every model, the fastest first.
    pub const ALL: [Self; 3] = [Self::Async, Self::Rendezvous, Self::Nccl];

    /// How it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Rendezvous => "rendezvous",
            Self::Nccl => "nccl",
        }
    }
}

impl fmt::Display for Communication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Communication {
    type Err = CostProblem;

    fn from_str(text: &str) -> Result<Self, CostProblem> {
        let is_it = |model: &Self| model.name().eq_ignore_ascii_case(text);
        let unknown = || CostProblem::UnknownCommunication { text: crate::listing::excerpt(text) };
        Self::ALL.into_iter().find(is_it).ok_or_else(unknown)
    }
}
