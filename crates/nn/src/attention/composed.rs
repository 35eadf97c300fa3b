//! Attention by candle's own operations, for the devices and dtypes without a kernel.

use std::sync::PoisonError;

use candle_core::{D, DType, Device, Result, Tensor};

use super::{Attention, Mask};

pub(super) fn forward(attention: &Attention, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    let (batch, heads, num_queries, head_dim) = q.dims4()?;
    let (_, kv_heads, num_keys, _) = k.dims4()?;
    let group = heads / kv_heads;

    // The queries of one group are rows of one product, so that keys need not be repeated.
    let grouped = q.contiguous()?.reshape((batch, kv_heads, group * num_queries, head_dim))?;
    let scores = (grouped.matmul(&k.t()?.contiguous()?)? * attention.scale)?;
    let scores = match attention.mask {
        Mask::Full => scores,
        Mask::Causal => scores
            .reshape((batch, kv_heads, group, num_queries, num_keys))?
            .broadcast_add(&attention.causal_mask(num_queries, q.dtype(), q.device())?)?
            .reshape(scores.shape())?,
    };
    softmax(&scores)?.matmul(&v.contiguous()?)?.reshape(q.shape())
}

/// The softmax over the last dimension, in float32 at least. candle's fused one has no backward.
fn softmax(scores: &Tensor) -> Result<Tensor> {
    let wide =
        if scores.dtype() == DType::F64 { scores.clone() } else { scores.to_dtype(DType::F32)? };
    let exp = wide.broadcast_sub(&wide.detach().max_keepdim(D::Minus1)?)?.exp()?;
    exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?.to_dtype(scores.dtype())
}

impl Attention {
    /// Zero on and below the diagonal, minus infinity above; kept until another one is needed.
    pub(super) fn causal_mask(&self, len: usize, dtype: DType, device: &Device) -> Result<Tensor> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mask) = cached.as_ref()
            && mask.dims() == [len, len]
            && mask.dtype() == dtype
            && mask.device().same_device(device)
        {
            return Ok(mask.clone());
        }
        let rows = (0..len)
            .flat_map(|i| (0..len).map(move |j| if j > i { f32::NEG_INFINITY } else { 0. }));
        let mask = Tensor::from_iter(rows, &Device::Cpu)?
            .reshape((len, len))?
            .to_device(device)?
            .to_dtype(dtype)?;
        *cached = Some(mask.clone());
        Ok(mask)
    }
}
