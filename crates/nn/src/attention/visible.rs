//! Which keys a query sees: one range of them, whose ends never go back from one query to the next.

use std::ops::Range;

use super::{Mask, Segments};

/// The rule of one call, for a given number of keys.
#[derive(Clone, Debug)]
pub(super) struct Visible {
    pub(super) mask: Mask,
    pub(super) num_keys: usize,
    pub(super) segments: Option<Segments>,
}

impl Visible {
    /// The keys that `query` sees in the `batch`-th sequence.
    pub(super) fn keys(&self, batch: usize, query: usize) -> Range<usize> {
        let own = self.segment(batch, query);
        match self.mask {
            Mask::Full => own,
            Mask::Causal => own.start..query + 1,
            Mask::SlidingWindow(window) => {
                own.start.max((query + 1).saturating_sub(window.get()))..query + 1
            }
        }
    }

    /// The positions of the document that `query` is in: all of them without packing.
    pub(super) fn segment(&self, batch: usize, query: usize) -> Range<usize> {
        match &self.segments {
            Some(segments) => segments.around(batch, query),
            None => 0..self.num_keys,
        }
    }

    /// How many sequences differ in what is seen.
    pub(super) fn num_sequences(&self) -> usize {
        self.segments.as_ref().map_or(1, Segments::num_sequences)
    }
}
