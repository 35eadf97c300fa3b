//! Of a list of ids, those whose rows a rank has.

use std::ops::Range;

use candle_core::{Device, Result, Tensor};

/// For each id the rank's row; another rank's id is looked up as the first row, of which nothing is kept.
pub(super) struct Own {
    pub(super) rows: Vec<Option<usize>>,
}

impl Own {
    pub(super) fn of(ids: &[usize], own: &Range<usize>) -> Self {
        let rows = ids.iter().map(|id| own.contains(id).then(|| id - own.start));
        Self { rows: rows.collect() }
    }

    /// The rows as ids.
    pub(super) fn ids(&self, device: &Device) -> Result<Tensor> {
        let rows: Vec<u32> = self
            .rows
            .iter()
            .map(|row| u32::try_from(row.unwrap_or(0)).map_err(candle_core::Error::wrap))
            .collect::<Result<_>>()?;
        Tensor::from_vec(rows, self.rows.len(), device)
    }

    /// What was looked up, with zeros for what is another rank's; so are the gradients.
    pub(super) fn only(&self, y: &Tensor) -> Result<Tensor> {
        let is_own: Vec<u8> = self.rows.iter().map(|row| u8::from(row.is_some())).collect();
        let is_own = Tensor::from_vec(is_own, (self.rows.len(), 1), y.device())?;
        // One zero for all, as it is kept for the backward.
        let zeros = Tensor::zeros((1, 1), y.dtype(), y.device())?.broadcast_as(y.shape())?;
        is_own.broadcast_as(y.shape())?.where_cond(y, &zeros)
    }
}
