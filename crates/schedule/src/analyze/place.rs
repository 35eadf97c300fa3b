//! Where an action is.

use serde::Serialize;

use crate::Rank;

/// Where an action is: the index of its row and its index in the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Whose row.
    pub rank: Rank,
    /// The index in that row.
    pub step: usize,
}

impl Serialize for Place {
    /// As the two numbers `[rank, step]`.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.rank.index(), self.step).serialize(serializer)
    }
}
