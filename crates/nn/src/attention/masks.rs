//! Masks as tensors for the composed form, kept between calls.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Tensor};

use super::Mask;
use super::visible::Visible;

/// The last mask of each kind; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Masks(Arc<Mutex<Vec<(Mask, Tensor)>>>);

impl Masks {
    /// Zero where a query sees a key and minus infinity elsewhere, of shape
    /// `[1 or batch, 1, 1, queries, keys]`.
    pub(super) fn get(
        &self,
        visible: &Visible,
        num_queries: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let shape = [visible.num_sequences(), 1, 1, num_queries, visible.num_keys];
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same_kind = kept.iter().position(|(mask, _)| *mask == visible.mask);
        if let Some((_, mask)) = same_kind.and_then(|i| kept.get(i))
            && mask.dims() == shape
            && mask.dtype() == dtype
            && mask.device().same_device(device)
        {
            return Ok(mask.clone());
        }
        let mut numbers = vec![f32::NEG_INFINITY; shape.iter().product()];
        let rows = (0..shape[0]).flat_map(|batch| (0..num_queries).map(move |i| (batch, i)));
        for ((batch, query), row) in rows.zip(numbers.chunks_exact_mut(visible.num_keys.max(1))) {
            row[visible.keys(batch, query)].fill(0.);
        }
        let mask =
            Tensor::from_vec(numbers, &shape, &Device::Cpu)?.to_device(device)?.to_dtype(dtype)?;
        if let Some(i) = same_kind {
            kept.swap_remove(i);
        }
        kept.push((visible.mask, mask.clone()));
        Ok(mask)
    }
}
