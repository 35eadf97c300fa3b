//! Where in the data a run stands.

use serde::{Deserialize, Serialize};

/// All it takes to go on with the rows that an unbroken run would have seen.
///
/// It means the same sources, sequence length, arrangement and seed; those are the recipe's. It
/// does not depend on how the rows are shared out over ranks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Rows handed out, from all sources and to all ranks.
    pub num_rows: u64,
    /// Where each source stands, in their order.
    pub sources: Vec<SourcePosition>,
}

impl Position {
    /// What has been left out so far, over all sources.
    pub fn skipped(&self) -> Skipped {
        self.sources.iter().fold(Skipped::default(), |sum, source| Skipped {
            bad: sum.bad.saturating_add(source.skipped.bad),
            too_long: sum.too_long.saturating_add(source.skipped.too_long),
            unlabelled: sum.unlabelled.saturating_add(source.skipped.unlabelled),
        })
    }
}

/// Where one source stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcePosition {
    /// Times that all of the source has been handed out.
    pub epoch: u64,
    /// Rows of tokens, or samples, that this epoch is done with. At its end that is all of them.
    pub index: u64,
    /// Tokens of the next sample that a stream is done with; 0 in all other arrangements.
    pub offset: u64,
    /// What has been left out, in all epochs.
    pub skipped: Skipped,
}

impl SourcePosition {
    /// Whether nothing of the epoch has been looked at.
    pub(super) fn is_epoch_start(&self) -> bool {
        (self.index, self.offset) == (0, 0)
    }

    pub(super) fn next_epoch(&mut self) {
        // Nobody trains for 2^64 epochs, but a position read from a file may be there.
        let epoch = self.epoch.wrapping_add(1);
        *self = Self { epoch, index: 0, offset: 0, skipped: self.skipped };
    }
}

/// How many samples were left out, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// Records that cannot be read.
    pub bad: u64,
    /// Samples with more tokens than a row.
    pub too_long: u64,
    /// Samples of which nothing is learnt, or nothing of what fits into a row.
    pub unlabelled: u64,
}

impl Skipped {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.bad.saturating_add(self.too_long).saturating_add(self.unlabelled)
    }
}
