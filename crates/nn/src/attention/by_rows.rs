//! Attention by candle's own operations, some rows of queries at a time: for the devices and dtypes
//! without a kernel. The scores of other rows are never there, and for the backward none are kept: it
//! computes them again.

use std::ops::Range;

use candle_core::{CustomOp3, D, Result, Tensor};

use super::masks::Masks;
use super::visible::Visible;
use super::{Attention, Mask, Segments};
use crate::computed::{Computed, computed};
use crate::every_device::wide_dtype;

/// How many scores there are at once, at about the most.
const MOST_SCORES: usize = 1 << 24;

/// As many rows at a time as have [`MOST_SCORES`].
pub(super) fn forward(
    attention: &Attention,
    [q, k, v]: [&Tensor; 3],
    segments: Option<&Segments>,
) -> Result<Tensor> {
    let (batch, heads, ..) = q.dims4()?;
    let of_row = batch.saturating_mul(heads).saturating_mul(k.dim(2)?);
    forward_by(MOST_SCORES / of_row.max(1), attention, [q, k, v], segments)
}

/// So many rows at a time, one at the least.
pub(super) fn forward_by(
    num_rows: usize,
    attention: &Attention,
    [q, k, v]: [&Tensor; 3],
    segments: Option<&Segments>,
) -> Result<Tensor> {
    let rule = Rule {
        num_rows: num_rows.max(1),
        scale: attention.scale,
        softcap: attention.softcap,
        visible: Visible { mask: attention.mask, num_keys: k.dim(2)?, segments: segments.cloned() },
        masks: segments.map_or(&attention.masks, Segments::masks).clone(),
    };
    let y = rule.forward([&q.detach(), &k.detach(), &v.detach()])?;
    if !(q.track_op() || k.track_op() || v.track_op()) {
        return Ok(y);
    }
    q.apply_op3(k, v, ByRows { rule, y: Computed::new(y) })
}

/// What is the same for all rows.
struct Rule {
    num_rows: usize,
    scale: f64,
    softcap: Option<f64>,
    visible: Visible,
    masks: Masks,
}

/// Queries and the keys that any of them sees.
struct Block {
    rows: Range<usize>,
    keys: Range<usize>,
}

/// What a block's rows give to its keys.
struct Weights {
    /// Of shape `[batch, kv_heads, group · rows, keys]`, in float32 at least.
    wide: Tensor,
    /// The tangents of the scores, if they are bounded: with `t` for one, its derivative has `1 - t²`.
    tangents: Option<Tensor>,
}

struct ByRows {
    rule: Rule,
    y: Computed,
}

/// Heads that share keys side by side: `[batch, kv_heads, group, queries, head_dim]`.
fn grouped(x: &Tensor, kv_heads: usize) -> Result<Tensor> {
    let (batch, heads, num_queries, head_dim) = x.dims4()?;
    x.contiguous()?.reshape((batch, kv_heads, heads / kv_heads, num_queries, head_dim))
}

/// The rows of a block as those of one product, so that keys need not be repeated.
fn rows_of(grouped: &Tensor, rows: &Range<usize>) -> Result<Tensor> {
    let (batch, kv_heads, group, _, head_dim) = grouped.dims5()?;
    let block = grouped.narrow(3, rows.start, rows.len())?.contiguous()?;
    block.reshape((batch, kv_heads, group * rows.len(), head_dim))
}

fn keys_of(x: &Tensor, keys: &Range<usize>) -> Result<Tensor> {
    x.narrow(2, keys.start, keys.len())?.contiguous()
}

impl Rule {
    fn blocks(&self, num_queries: usize) -> impl Iterator<Item = Block> {
        (0..num_queries).step_by(self.num_rows).map(move |start| {
            let rows = start..(start + self.num_rows).min(num_queries);
            // What is seen never goes back from one query to the next.
            let sequences = 0..self.visible.num_sequences();
            let first = sequences.clone().map(|b| self.visible.keys(b, rows.start).start).min();
            let last = sequences.map(|b| self.visible.keys(b, rows.end - 1).end).max();
            let end = last.unwrap_or(0).min(self.visible.num_keys);
            Block { keys: first.unwrap_or(0).min(end)..end, rows }
        })
    }

    fn forward(&self, [q, k, v]: [&Tensor; 3]) -> Result<Tensor> {
        let (batch, heads, num_queries, head_dim) = q.dims4()?;
        let kv_heads = k.dim(1)?;
        let queries = grouped(q, kv_heads)?;
        let mut outputs = Vec::new();
        for block in self.blocks(num_queries) {
            let rows = rows_of(&queries, &block.rows)?;
            let weights = self.weights(&rows, &keys_of(k, &block.keys)?, &block, num_queries)?;
            let y = weights.wide.to_dtype(v.dtype())?.matmul(&keys_of(v, &block.keys)?)?;
            let group = heads / kv_heads;
            outputs.push(y.reshape((batch, kv_heads, group, block.rows.len(), head_dim))?);
        }
        Tensor::cat(&outputs, 3)?.reshape(q.shape())
    }

    /// The softmax of a block's scores.
    fn weights(
        &self,
        q: &Tensor,
        k: &Tensor,
        block: &Block,
        num_queries: usize,
    ) -> Result<Weights> {
        let scores = (q.matmul(&k.t()?.contiguous()?)? * self.scale)?;
        let (scores, tangents) = match self.softcap {
            Some(cap) => {
                let tangents = (scores / cap)?.tanh()?;
                ((&tangents * cap)?, Some(tangents))
            }
            None => (scores, None),
        };
        let scores = match (self.visible.mask, &self.visible.segments) {
            (Mask::Full, None) => scores,
            (Mask::Causal | Mask::SlidingWindow(_) | Mask::Full, _) => {
                self.masked(&scores, block, num_queries)?
            }
        };
        let scores = scores.to_dtype(wide_dtype(q.dtype()))?;
        let exp = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        Ok(Weights { wide: exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?, tangents })
    }

    /// The scores with minus infinity where a query does not see a key.
    fn masked(&self, scores: &Tensor, block: &Block, num_queries: usize) -> Result<Tensor> {
        let (batch, kv_heads, _, num_keys) = scores.dims4()?;
        let mask = self.masks.get(&self.visible, num_queries, scores.dtype(), scores.device())?;
        let mask = mask.narrow(3, block.rows.start, block.rows.len())?;
        let mask = mask.narrow(4, block.keys.start, block.keys.len())?.contiguous()?;
        scores
            .reshape((batch, kv_heads, (), block.rows.len(), num_keys))?
            .broadcast_add(&mask)?
            .reshape(scores.shape())
    }

    /// With `P` the weights and `G` the gradient of the outputs: `dv = Pᵀ G`, and with
    /// `dS = P · (G vᵀ - Σ P · G vᵀ)` that of the scores, `dq = dS k` and `dk = dSᵀ q`.
    fn backward(&self, [q, k, v]: [&Tensor; 3], grad: &Tensor) -> Result<[Tensor; 3]> {
        let (batch, heads, num_queries, head_dim) = q.dims4()?;
        let (dtype, kv_heads) = (q.dtype(), k.dim(1)?);
        let (queries, grads) = (grouped(q, kv_heads)?, grouped(grad, kv_heads)?);
        let mut q_grads = Vec::new();
        let mut key_grads: Option<[Tensor; 2]> = None;
        for block in self.blocks(num_queries) {
            let (rows, grad) = (rows_of(&queries, &block.rows)?, rows_of(&grads, &block.rows)?);
            let (keys, values) = (keys_of(k, &block.keys)?, keys_of(v, &block.keys)?);
            let Weights { wide, tangents } = self.weights(&rows, &keys, &block, num_queries)?;
            let v_grad = wide.to_dtype(dtype)?.t()?.contiguous()?.matmul(&grad)?;
            let weight_grad = grad.matmul(&values.t()?.contiguous()?)?.to_dtype(wide.dtype())?;
            let along = (&weight_grad * &wide)?.sum_keepdim(D::Minus1)?;
            let scores = (weight_grad.broadcast_sub(&along)? * &wide)?;
            let scores = match tangents {
                Some(t) => (scores * t.to_dtype(wide.dtype())?.sqr()?.affine(-1., 1.)?)?,
                None => scores,
            };
            let scores = (scores * self.scale)?.to_dtype(dtype)?;
            let q_grad = scores.matmul(&keys)?;
            let group = heads / kv_heads;
            q_grads.push(q_grad.reshape((batch, kv_heads, group, block.rows.len(), head_dim))?);
            let k_grad = scores.t()?.contiguous()?.matmul(&rows)?;
            let k_grad = self.spread(&k_grad, &block.keys)?;
            let v_grad = self.spread(&v_grad, &block.keys)?;
            key_grads = Some(match key_grads {
                None => [k_grad, v_grad],
                Some([k_sum, v_sum]) => [(k_sum + k_grad)?, (v_sum + v_grad)?],
            });
        }
        let q_grad = Tensor::cat(&q_grads, 3)?.reshape(q.shape())?;
        let Some([k_grad, v_grad]) = key_grads else {
            candle_core::bail!("attention of no queries")
        };
        Ok([q_grad, k_grad.to_dtype(dtype)?, v_grad.to_dtype(dtype)?])
    }

    /// The gradient of some keys as one of all, in what sums are made in.
    fn spread(&self, grad: &Tensor, keys: &Range<usize>) -> Result<Tensor> {
        let grad = grad.to_dtype(wide_dtype(grad.dtype()))?;
        if keys.len() == self.visible.num_keys {
            return Ok(grad);
        }
        grad.pad_with_zeros(2, keys.start, self.visible.num_keys - keys.end)
    }
}

impl CustomOp3 for ByRows {
    fn name(&self) -> &'static str {
        "attention by rows"
    }

    computed!(y, a, b, c);

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let args = [q, k, v].map(Tensor::detach);
        let [q_grad, k_grad, v_grad] = self.rule.backward(args.each_ref(), &grad.detach())?;
        let wanted = |x: &Tensor, grad: Tensor| x.track_op().then_some(grad);
        Ok((wanted(q, q_grad), wanted(k, k_grad), wanted(v, v_grad)))
    }
}
