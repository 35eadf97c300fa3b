//! Rounds of microbatches, in which interleaved schedules go over the stages of a rank.

use super::Extent;

/// Numbers a rank's forwards, and its backwards, from 0 on: a round of microbatches goes through
/// one stage of the rank after the other, then comes the next round.
pub(super) struct Rounds {
    num_ranks: usize,
    stages_per_rank: usize,
    /// How many microbatches are in a round.
    pub(super) length: usize,
}

impl Rounds {
    /// Cuts the microbatches into as many rounds as there can be of at least one for each rank.
    pub(super) fn new(extent: &Extent) -> Self {
        let &Extent { num_ranks, stages_per_rank, num_microbatches } = extent;
        let length = num_microbatches / num_rounds(num_ranks, num_microbatches);
        Self { num_ranks, stages_per_rank, length }
    }

    /// How many forwards a rank does before its first backward, if it has to be so many ahead of
    /// the next rank.
    pub(super) fn num_warmup(&self, rank: usize, extent: &Extent, ahead: usize) -> usize {
        let behind = self.num_ranks - 1 - rank;
        let num_forwards = self.stages_per_rank * extent.num_microbatches;
        num_forwards.min((self.stages_per_rank - 1) * self.length + ahead * behind)
    }

    /// Stage and microbatch of a rank's forward number `i`.
    pub(super) fn forward(&self, rank: usize, i: usize) -> (usize, usize) {
        let (chunk, microbatch) = self.turn(i);
        (chunk * self.num_ranks + rank, microbatch)
    }

    /// Stage and microbatch of a rank's backward number `i`: the same, the last stage first.
    pub(super) fn backward(&self, rank: usize, i: usize) -> (usize, usize) {
        let (chunk, microbatch) = self.turn(i);
        ((self.stages_per_rank - 1 - chunk) * self.num_ranks + rank, microbatch)
    }

    fn turn(&self, i: usize) -> (usize, usize) {
        let turn = i / self.length;
        let round = turn / self.stages_per_rank;
        (turn % self.stages_per_rank, round * self.length + i % self.length)
    }
}

/// How many rounds there are, at least 1.
pub(super) fn num_rounds(num_ranks: usize, num_microbatches: usize) -> usize {
    (num_microbatches / num_ranks.max(1)).max(1)
}
