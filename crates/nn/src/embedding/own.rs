//! Of a list of ids, those whose rows a rank has.

use std::ops::Range;

use candle_core::{Device, Result, Tensor};

/// For each id the rank's row, and whether it is the id's: another rank's id is looked up as the
/// first row, of which nothing is kept.
pub(super) struct Own {
    pub(super) rows: Vec<usize>,
    is_own: Vec<u8>,
}

impl Own {
    pub(super) fn of(ids: &[usize], own: &Range<usize>) -> Self {
        let rows = ids.iter().map(|id| if own.contains(id) { id - own.start } else { 0 });
        let is_own = ids.iter().map(|id| u8::from(own.contains(id)));
        Self { rows: rows.collect(), is_own: is_own.collect() }
    }

    /// The rows as ids.
    pub(super) fn ids(&self, device: &Device) -> Result<Tensor> {
        let rows: Vec<u32> = self
            .rows
            .iter()
            .map(|&row| u32::try_from(row).map_err(candle_core::Error::wrap))
            .collect::<Result<_>>()?;
        Tensor::from_vec(rows, self.rows.len(), device)
    }

    /// What was looked up, with zeros for what is another rank's; so are the gradients.
    pub(super) fn only(&self, y: &Tensor) -> Result<Tensor> {
        let is_own = Tensor::from_slice(&self.is_own, (self.is_own.len(), 1), y.device())?;
        // One zero for all, as it is kept for the backward.
        let zeros = Tensor::zeros((1, 1), y.dtype(), y.device())?.broadcast_as(y.shape())?;
        is_own.broadcast_as(y.shape())?.where_cond(y, &zeros)
    }
}
