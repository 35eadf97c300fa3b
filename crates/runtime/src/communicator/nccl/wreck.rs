//! What is left of a lane that was broken off, until nothing uses its memory.

use candle_core::Tensor;

use super::carrier::{Carrier, Lane as _};

/// A lane that is to be broken off, and the tensors that are under way on it.
pub(super) struct Rubble<C: Carrier> {
    pub(super) lane: C::Lane,
    pub(super) tensors: Vec<Vec<Tensor>>,
}

/// What a broken lane leaves: it stays until the device is through with it.
pub(super) struct Wreck<C: Carrier> {
    // Dropped in this order: what is under way reads or writes the tensors.
    lane: C::Lane,
    through: Option<C::Moment>,
    tensors: Vec<Vec<Tensor>>,
}

impl<C: Carrier> Wreck<C> {
    /// Breaks lanes off.
    pub(super) fn make(carrier: &C, mut rubble: Vec<Rubble<C>>) -> Vec<Self> {
        let mut lanes: Vec<_> = rubble.iter_mut().map(|rubble| &mut rubble.lane).collect();
        if !lanes.is_empty() {
            carrier.break_off(&mut lanes);
        }
        let of = |Rubble { lane, tensors }: Rubble<C>| {
            let through = lane.moment().ok();
            Self { lane, through, tensors }
        };
        rubble.into_iter().map(of).collect()
    }

    /// Whether it can be dropped.
    pub(super) fn is_still(&self, carrier: &C) -> bool {
        self.through.as_ref().is_some_and(|moment| carrier.is_past(moment).unwrap_or(false))
    }

    /// The device is not through with it, and nobody waits any longer: its memory is lost.
    pub(super) fn leak(self) {
        let Self { lane, through, tensors } = self;
        std::mem::forget((lane, through, tensors));
    }
}
