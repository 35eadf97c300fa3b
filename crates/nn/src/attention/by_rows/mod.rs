//! Attention some rows of queries at a time: for GPUs, and for the devices and dtypes without a kernel.
//! The scores of other rows are never there, and for the backward none are kept: it computes them again.

pub(super) mod on_gpu;
mod operations;

use std::ops::Range;

use candle_core::{CudaStorage, CustomOp3, Result, Tensor};

use super::masks::Masks;
use super::visible::Visible;
use super::{Attention, Segments};
use crate::computed::{Computed, computed};
use crate::every_device::wide_dtype;
use operations::Operations;

/// As many rows at a time as have [`Form::MOST_SCORES`].
pub(super) fn forward(
    attention: &Attention,
    [q, k, v]: [&Tensor; 3],
    segments: Option<&Segments>,
) -> Result<Tensor> {
    let (batch, heads, ..) = q.dims4()?;
    let of_row = batch.saturating_mul(heads).saturating_mul(k.dim(2)?);
    let rule =
        |most_scores: usize| Rule::new(most_scores / of_row.max(1), attention, [q, k], segments);
    if [q, k, v].into_iter().all(crate::gpu::has_kernels) {
        type OnGpu = on_gpu::OnGpu<CudaStorage>;
        return rule(OnGpu::MOST_SCORES)?.attend(OnGpu::default(), [q, k, v]);
    }
    rule(Operations::MOST_SCORES)?.attend(Operations, [q, k, v])
}

/// So many rows at a time, one at the least, by candle's operations.
#[cfg(test)]
pub(super) fn forward_by(
    num_rows: usize,
    attention: &Attention,
    [q, k, v]: [&Tensor; 3],
    segments: Option<&Segments>,
) -> Result<Tensor> {
    Rule::new(num_rows, attention, [q, k], segments)?.attend(Operations, [q, k, v])
}

/// What is the same for all rows.
pub(super) struct Rule {
    num_rows: usize,
    num_queries: usize,
    scale: f64,
    softcap: Option<f64>,
    visible: Visible,
    masks: Masks,
}

/// Queries and the keys that any of them sees.
pub(super) struct Block {
    rows: Range<usize>,
    keys: Range<usize>,
    /// Heads that share keys one after another: `[batch, kv_heads, group · rows, head_dim]`.
    q: Tensor,
    /// `[batch, kv_heads, keys, head_dim]`, not contiguous, but the numbers of a head are.
    k: Tensor,
    v: Tensor,
}

/// How a block is computed on a device.
pub(super) trait Form: Send + Sync {
    /// How many scores there are at once, at about the most.
    const MOST_SCORES: usize;

    /// What a block's rows give to its keys, the softmax of their scores: of shape
    /// `[batch, kv_heads, group · rows, keys]` and the type of the values.
    fn weights(&self, rule: &Rule, block: &Block) -> Result<Tensor>;

    /// The same, and with it the gradient of the products of queries and keys, from that of the rows'
    /// outputs.
    fn gradients(&self, rule: &Rule, block: &Block, grad: &Tensor) -> Result<[Tensor; 2]>;

    /// `a b` in their type.
    fn product(&self, a: &Tensor, b: &Tensor) -> Result<Tensor>;

    /// `sum` with `aᵀ b` added to what belongs to `keys`.
    fn add_product(
        &self,
        sum: Tensor,
        keys: &Range<usize>,
        a: &Tensor,
        b: &Tensor,
    ) -> Result<Tensor>;
}

struct ByRows<F> {
    rule: Rule,
    form: F,
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

/// The reverse, for the rows of all blocks.
fn ungrouped(blocks: &[Tensor], q: &Tensor, kv_heads: usize) -> Result<Tensor> {
    let (batch, heads, _, head_dim) = q.dims4()?;
    let shape = (batch, kv_heads, heads / kv_heads, (), head_dim);
    let blocks = blocks.iter().map(|rows| rows.reshape(shape));
    Tensor::cat(&blocks.collect::<Result<Vec<_>>>()?, 3)?.reshape(q.shape())
}

impl Rule {
    /// For so many rows at a time, one at the least.
    pub(super) fn new(
        num_rows: usize,
        attention: &Attention,
        [q, k]: [&Tensor; 2],
        segments: Option<&Segments>,
    ) -> Result<Self> {
        let (mask, num_keys) = (attention.mask, k.dim(2)?);
        Ok(Self {
            num_rows: num_rows.max(1),
            num_queries: q.dim(2)?,
            scale: attention.scale,
            softcap: attention.softcap,
            visible: Visible { mask, num_keys, segments: segments.cloned() },
            masks: segments.map_or(&attention.masks, Segments::masks).clone(),
        })
    }

    /// The attention of these, which are those that the rule is for.
    pub(super) fn attend<F: Form + 'static>(
        self,
        form: F,
        [q, k, v]: [&Tensor; 3],
    ) -> Result<Tensor> {
        let y = self.forward(&form, [&q.detach(), &k.detach(), &v.detach()])?;
        if !(q.track_op() || k.track_op() || v.track_op()) {
            return Ok(y);
        }
        q.apply_op3(k, v, ByRows { rule: self, form, y: Computed::new(y) })
    }

    /// The blocks of `queries`, which are grouped, and `k` and `v`, which are contiguous.
    fn blocks(&self, queries: Tensor, [k, v]: [Tensor; 2]) -> impl Iterator<Item = Result<Block>> {
        (0..self.num_queries).step_by(self.num_rows).map(move |start| {
            let rows = start..(start + self.num_rows).min(self.num_queries);
            // What is seen never goes back from one query to the next.
            let sequences = 0..self.visible.num_sequences();
            let first = sequences.clone().map(|b| self.visible.keys(b, rows.start).start).min();
            let last = sequences.map(|b| self.visible.keys(b, rows.end - 1).end).max();
            let end = last.unwrap_or(0).min(self.visible.num_keys);
            let keys = first.unwrap_or(0).min(end)..end;
            Ok(Block {
                q: rows_of(&queries, &rows)?,
                k: k.narrow(2, keys.start, keys.len())?,
                v: v.narrow(2, keys.start, keys.len())?,
                rows,
                keys,
            })
        })
    }

    fn forward(&self, form: &impl Form, [q, k, v]: [&Tensor; 3]) -> Result<Tensor> {
        let kv_heads = k.dim(1)?;
        let mut outputs = Vec::new();
        for block in self.blocks(grouped(q, kv_heads)?, [k.contiguous()?, v.contiguous()?]) {
            let block = block?;
            outputs.push(form.product(&form.weights(self, &block)?, &block.v)?);
        }
        ungrouped(&outputs, q, kv_heads)
    }

    /// With `P` for the weights, `G` for the gradient of the outputs and `dS` for that of the products of
    /// queries and keys: `dv = Pᵀ G`, `dq = dS k`, `dk = dSᵀ q`.
    fn backward(
        &self,
        form: &impl Form,
        [q, k, v]: [&Tensor; 3],
        grad: &Tensor,
    ) -> Result<[Tensor; 3]> {
        let kv_heads = k.dim(1)?;
        let grads = grouped(grad, kv_heads)?;
        let mut q_grads = Vec::new();
        let zeros = || Tensor::zeros(k.shape(), wide_dtype(k.dtype()), k.device());
        let (mut k_grad, mut v_grad) = (zeros()?, zeros()?);
        for block in self.blocks(grouped(q, kv_heads)?, [k.contiguous()?, v.contiguous()?]) {
            let block = block?;
            let grad = rows_of(&grads, &block.rows)?;
            let [weights, products] = form.gradients(self, &block, &grad)?;
            q_grads.push(form.product(&products, &block.k)?);
            k_grad = form.add_product(k_grad, &block.keys, &products, &block.q)?;
            v_grad = form.add_product(v_grad, &block.keys, &weights, &grad)?;
        }
        let q_grad = ungrouped(&q_grads, q, kv_heads)?;
        Ok([q_grad, k_grad.to_dtype(k.dtype())?, v_grad.to_dtype(v.dtype())?])
    }
}

impl<F: Form> CustomOp3 for ByRows<F> {
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
        let grads = self.rule.backward(&self.form, args.each_ref(), &grad.detach())?;
        let [q_grad, k_grad, v_grad] = grads;
        let wanted = |x: &Tensor, grad: Tensor| x.track_op().then_some(grad);
        Ok((wanted(q, q_grad), wanted(k, k_grad), wanted(v, v_grad)))
    }
}
