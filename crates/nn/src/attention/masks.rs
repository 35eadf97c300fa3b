//! What is seen, as tensors: for the forms that are not the CPU's own, and kept between calls.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Tensor};

use super::Mask;
use super::visible::Visible;

/// The last tensor of each kind of mask; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Masks(Arc<Mutex<Vec<Kept>>>);

#[derive(Debug)]
struct Kept {
    mask: Mask,
    num_keys: usize,
    tensor: Tensor,
}

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
        self.kept(visible, &shape, dtype, device, || {
            let mut numbers = vec![f32::NEG_INFINITY; shape.iter().product()];
            let rows = numbers.chunks_exact_mut(visible.num_keys.max(1));
            for ((batch, query), row) in rows_of(visible, num_queries).zip(rows) {
                row[visible.keys(batch, query)].fill(0.);
            }
            Tensor::from_vec(numbers, &shape, &Device::Cpu)?.to_device(device)?.to_dtype(dtype)
        })
    }

    /// The first key that a query sees and the one behind the last, u32 of shape
    /// `[1 or batch, queries, 2]`.
    ///
    /// # Errors
    /// If there are more keys than u32 can count, or the device fails.
    pub(super) fn seen(
        &self,
        visible: &Visible,
        num_queries: usize,
        device: &Device,
    ) -> Result<Tensor> {
        let shape = [visible.num_sequences(), num_queries, 2];
        self.kept(visible, &shape, DType::U32, device, || {
            let mut ends = Vec::with_capacity(shape.iter().product());
            for (batch, query) in rows_of(visible, num_queries) {
                let keys = visible.keys(batch, query);
                for end in [keys.start, keys.end] {
                    ends.push(u32::try_from(end).map_err(candle_core::Error::wrap)?);
                }
            }
            Tensor::from_vec(ends, &shape, device)
        })
    }

    /// The tensor that is kept, or the one that `make` makes.
    fn kept(
        &self,
        visible: &Visible,
        shape: &[usize],
        dtype: DType,
        device: &Device,
        make: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same_kind = all.iter().position(|kept| kept.mask == visible.mask);
        if let Some(kept) = same_kind.and_then(|i| all.get(i))
            && kept.num_keys == visible.num_keys
            && kept.tensor.dims() == shape
            && kept.tensor.dtype() == dtype
            && kept.tensor.device().same_device(device)
        {
            return Ok(kept.tensor.clone());
        }
        let tensor = make()?;
        if let Some(i) = same_kind {
            all.swap_remove(i);
        }
        let (mask, num_keys) = (visible.mask, visible.num_keys);
        all.push(Kept { mask, num_keys, tensor: tensor.clone() });
        Ok(tensor)
    }
}

/// Each query of each sequence.
fn rows_of(visible: &Visible, num_queries: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..visible.num_sequences()).flat_map(move |batch| (0..num_queries).map(move |i| (batch, i)))
}
