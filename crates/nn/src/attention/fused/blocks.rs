//! How the scores' matrix is cut: which queries are worked on at once, with which keys.

use std::ops::Range;

use super::super::visible::Visible;

/// How many rows of scores are worked on at once. Those of one block are the same few positions in
/// all heads of a group, so that one product serves the group and little of it is masked.
const ROWS: usize = 64;
/// How many keys: a block of scores and one of their gradients stay in the second-level cache.
const KEYS: usize = 256;

/// The sizes of one call.
pub(super) struct Extent {
    pub(super) batch: usize,
    pub(super) kv_heads: usize,
    /// How many query heads share a head of keys and values.
    pub(super) group: usize,
    pub(super) num_queries: usize,
    pub(super) num_keys: usize,
    pub(super) head_dim: usize,
}

/// Some positions of all heads of a group, and the keys that each sees.
pub(super) struct Block {
    pub(super) positions: Range<usize>,
    /// How many rows: those of one head after those of another.
    pub(super) num_rows: usize,
    /// The keys that each position sees.
    seen: Vec<Range<usize>>,
}

impl Extent {
    /// Positions in a block at most.
    fn num_positions(&self) -> usize {
        (ROWS / self.group).max(8)
    }

    /// Rows in a block at most.
    pub(super) fn num_rows(&self) -> usize {
        self.group * self.num_positions().min(self.num_queries)
    }

    /// Numbers in a block of scores at most.
    pub(super) fn num_scores(&self) -> usize {
        self.num_rows() * KEYS.min(self.num_keys)
    }

    /// Rows of the output.
    pub(super) fn num_outputs(&self) -> usize {
        self.batch * self.kv_heads * self.group * self.num_queries
    }

    /// The blocks of one sequence, in order. None has rows of two documents, whose keys have
    /// nothing in common.
    pub(super) fn blocks(&self, visible: &Visible, batch: usize) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut start = 0;
        while start < self.num_queries {
            let mut end = self.num_queries.min(start + self.num_positions());
            if visible.segments.is_some() {
                end = end.min(visible.segment(batch, start).end);
            }
            let seen = (start..end).map(|query| visible.keys(batch, query)).collect();
            blocks.push(Block {
                positions: start..end,
                num_rows: self.group * (end - start),
                seen,
            });
            start = end;
        }
        blocks
    }

    /// Where the rows of a head lie in a contiguous tensor with the shape of the queries.
    pub(super) fn rows(&self, [batch, head]: [usize; 2], positions: &Range<usize>) -> Range<usize> {
        let first = (batch * self.kv_heads * self.group + head) * self.num_queries;
        first + positions.start..first + positions.end
    }
}

impl Block {
    /// The keys that any position of the block sees, a part at a time.
    pub(super) fn keys(&self) -> impl Iterator<Item = Range<usize>> {
        let start = self.seen.first().map_or(0, |seen| seen.start);
        let end = self.seen.last().map_or(0, |seen| seen.end);
        (start..end).step_by(KEYS).map(move |start| start..end.min(start + KEYS))
    }

    /// What each row sees of some keys, counted from the first of them, row by row.
    pub(super) fn seen_of(&self, keys: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let within = |at: usize| at.clamp(keys.start, keys.end) - keys.start;
        self.seen.iter().cycle().map(move |seen| within(seen.start)..within(seen.end))
    }
}
