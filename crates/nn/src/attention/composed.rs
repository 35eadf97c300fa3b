//! Attention by candle's own operations and its own backward, with all scores at once: what the other forms
//! are compared with.

use candle_core::{D, DType, Result, Tensor};

use super::masks::Masks;
use super::visible::Visible;
use super::{Attention, Mask, Segments};

pub(super) fn forward(
    attention: &Attention,
    [q, k, v]: [&Tensor; 3],
    segments: Option<&Segments>,
) -> Result<Tensor> {
    let (batch, heads, num_queries, head_dim) = q.dims4()?;
    let (_, kv_heads, num_keys, _) = k.dims4()?;
    let group = heads / kv_heads;

    // The queries of one group are rows of one product, so that keys need not be repeated.
    let grouped = q.contiguous()?.reshape((batch, kv_heads, group * num_queries, head_dim))?;
    let scores = (grouped.matmul(&k.t()?.contiguous()?)? * attention.scale)?;
    let scores = match attention.softcap {
        Some(cap) => ((scores / cap)?.tanh()? * cap)?,
        None => scores,
    };
    let visible = Visible { mask: attention.mask, num_keys, segments: segments.cloned() };
    let scores = match (attention.mask, segments) {
        (Mask::Full, None) => scores,
        (Mask::Causal | Mask::SlidingWindow(_) | Mask::Full, _) => {
            let masks = segments.map_or(&attention.masks, Segments::masks);
            masked(&scores, masks, &visible, num_queries)?
        }
    };
    softmax(&scores)?.matmul(&v.contiguous()?)?.reshape(q.shape())
}

/// The scores with minus infinity where a query does not see a key.
fn masked(scores: &Tensor, masks: &Masks, visible: &Visible, num_queries: usize) -> Result<Tensor> {
    let (batch, kv_heads, _, num_keys) = scores.dims4()?;
    let mask = masks.get(visible, num_queries, scores.dtype(), scores.device())?;
    scores
        .reshape((batch, kv_heads, (), num_queries, num_keys))?
        .broadcast_add(&mask)?
        .reshape(scores.shape())
}

/// The softmax over the last dimension, in float32 at least. candle's fused one has no backward.
fn softmax(scores: &Tensor) -> Result<Tensor> {
    let wide =
        if scores.dtype() == DType::F64 { scores.clone() } else { scores.to_dtype(DType::F32)? };
    let exp = wide.broadcast_sub(&wide.detach().max_keepdim(D::Minus1)?)?.exp()?;
    exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?.to_dtype(scores.dtype())
}
