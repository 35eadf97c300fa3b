//! In which order the things of a source come, epoch after epoch.

use super::permutation::Permutation;

/// The order of some things in each epoch.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// At least 1.
    len: u64,
    /// Of the epoch that was asked for last, as orders differ; `None` leaves everything as it is.
    shuffled: Option<Shuffled>,
}

#[derive(Clone, Debug)]
struct Shuffled {
    seed: u64,
    epoch: u64,
    order: Permutation,
}

impl Order {
    /// Everything where it is, in every epoch.
    pub(super) fn unchanged(len: u64) -> Self {
        Self { len, shuffled: None }
    }

    /// Another order in each epoch, by the seed.
    pub(super) fn shuffled(len: u64, seed: u64) -> Self {
        let order = Permutation::new(len, seed, 0);
        Self { len, shuffled: Some(Shuffled { seed, epoch: 0, order }) }
    }

    /// How many things there are.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// What stands at `index`, which is less than [`len`](Self::len).
    pub(super) fn at(&mut self, epoch: u64, index: u64) -> u64 {
        let Some(shuffled) = &mut self.shuffled else { return index };
        if shuffled.epoch != epoch {
            shuffled.epoch = epoch;
            shuffled.order = Permutation::new(self.len, shuffled.seed, epoch);
        }
        shuffled.order.at(index)
    }
}
