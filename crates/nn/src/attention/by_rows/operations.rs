//! A block of attention by candle's own operations: for the devices and dtypes without a kernel.

use std::ops::Range;

use candle_core::{D, Result, Tensor};

use super::{Block, Form, Rule};
use crate::attention::Mask;
use crate::every_device::wide_dtype;

pub(super) struct Operations;

/// What a block's rows give to its keys.
struct Weights {
    /// Of shape `[batch, kv_heads, group · rows, keys]`, in float32 at least.
    wide: Tensor,
    /// The tangents of the scores, if they are bounded: with `t` for one, its derivative has `1 - t²`.
    tangents: Option<Tensor>,
}

/// The softmax of a block's scores.
fn softmax(rule: &Rule, block: &Block) -> Result<Weights> {
    let scores = (block.q.matmul(&block.k.t()?.contiguous()?)? * rule.scale)?;
    let (scores, tangents) = match rule.softcap {
        Some(cap) => {
            let tangents = (scores / cap)?.tanh()?;
            ((&tangents * cap)?, Some(tangents))
        }
        None => (scores, None),
    };
    let scores = match (rule.visible.mask, &rule.visible.segments) {
        (Mask::Full, None) => scores,
        (Mask::Causal | Mask::SlidingWindow(_) | Mask::Full, _) => masked(rule, block, &scores)?,
    };
    let scores = scores.to_dtype(wide_dtype(block.q.dtype()))?;
    let exp = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
    Ok(Weights { wide: exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?, tangents })
}

/// The scores with minus infinity where a query does not see a key.
fn masked(rule: &Rule, block: &Block, scores: &Tensor) -> Result<Tensor> {
    let (batch, kv_heads, _, num_keys) = scores.dims4()?;
    let mask = rule.masks.get(&rule.visible, rule.num_queries, scores.dtype(), scores.device())?;
    let mask = mask.narrow(3, block.rows.start, block.rows.len())?;
    let mask = mask.narrow(4, block.keys.start, block.keys.len())?.contiguous()?;
    scores
        .reshape((batch, kv_heads, (), block.rows.len(), num_keys))?
        .broadcast_add(&mask)?
        .reshape(scores.shape())
}

impl Form for Operations {
    const MOST_SCORES: usize = 1 << 24;

    fn weights(&self, rule: &Rule, block: &Block) -> Result<Tensor> {
        softmax(rule, block)?.wide.to_dtype(block.v.dtype())
    }

    /// `dS = P · (G vᵀ - Σ P · G vᵀ)`, which the bound and the scale of the scores multiply.
    fn gradients(&self, rule: &Rule, block: &Block, grad: &Tensor) -> Result<[Tensor; 2]> {
        let Weights { wide, tangents } = softmax(rule, block)?;
        let weight_grad = grad.matmul(&block.v.t()?.contiguous()?)?.to_dtype(wide.dtype())?;
        let along = (&weight_grad * &wide)?.sum_keepdim(D::Minus1)?;
        let scores = (weight_grad.broadcast_sub(&along)? * &wide)?;
        let scores = match tangents {
            Some(t) => (scores * t.to_dtype(wide.dtype())?.sqr()?.affine(-1., 1.)?)?,
            None => scores,
        };
        let dtype = block.q.dtype();
        Ok([wide.to_dtype(dtype)?, (scores * rule.scale)?.to_dtype(dtype)?])
    }

    fn product(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.matmul(&b.contiguous()?)
    }

    fn add_product(
        &self,
        sum: Tensor,
        keys: &Range<usize>,
        a: &Tensor,
        b: &Tensor,
    ) -> Result<Tensor> {
        let more = a.t()?.contiguous()?.matmul(b)?.to_dtype(sum.dtype())?;
        let num_keys = sum.dim(2)?;
        if keys.len() == num_keys {
            return sum + more;
        }
        sum + more.pad_with_zeros(2, keys.start, num_keys - keys.end)?
    }
}
