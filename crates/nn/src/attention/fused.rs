//! Attention in blocks of queries that never keeps the scores.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor};

use super::visible::Visible;
use crate::cpu::{Real, Values, add_to, contiguous, cpu, for_real, max, sum, sum2};

/// How many queries are worked on at once: their scores stay in the second-level cache.
const BLOCK: usize = 64;

pub(super) struct Fused {
    pub(super) scale: f64,
    pub(super) visible: Visible,
}

/// A `[batch, heads, length, head_dim]` of any stride.
struct Heads<'a> {
    storage: &'a CpuStorage,
    layout: &'a Layout,
}

impl Heads<'_> {
    /// Rows `start..start + len` of one head as a matrix.
    fn rows(&self, batch: usize, head: usize, start: usize, len: usize) -> Result<Layout> {
        let (_, _, _, head_dim) = self.layout.shape().dims4()?;
        let &[batch_stride, head_stride, row_stride, dim_stride] = self.layout.stride() else {
            return Err(candle_core::Error::RequiresContiguous { op: "attention" }.bt());
        };
        let offset = self.layout.start_offset()
            + batch * batch_stride
            + head * head_stride
            + start * row_stride;
        Ok(Layout::new(Shape::from((len, head_dim)), vec![row_stride, dim_stride], offset))
    }
}

/// A block of the scores' matrix: some queries of one head and all the keys that any of them sees.
struct Block {
    batch: usize,
    head: usize,
    kv_head: usize,
    start: usize,
    num_rows: usize,
    first_key: usize,
    num_keys: usize,
}

impl Fused {
    /// The blocks in the order of the output's rows.
    fn blocks(&self, q: &Layout, k: &Layout) -> Result<Vec<Block>> {
        let (num_batches, heads, num_queries, _) = q.shape().dims4()?;
        let (_, kv_heads, ..) = k.shape().dims4()?;
        let group = heads / kv_heads;
        let mut blocks = Vec::new();
        for batch in 0..num_batches {
            for head in 0..heads {
                let mut start = 0;
                while start < num_queries {
                    // No block has rows of two documents, whose keys have nothing in common.
                    let document = self.visible.segment(batch, start);
                    let end = match self.visible.segments {
                        Some(_) => document.end.min(start + BLOCK),
                        None => num_queries.min(start + BLOCK),
                    };
                    let first_key = self.visible.keys(batch, start).start;
                    blocks.push(Block {
                        batch,
                        head,
                        kv_head: head / group,
                        start,
                        num_rows: end - start,
                        first_key,
                        num_keys: self.visible.keys(batch, end - 1).end - first_key,
                    });
                    start = end;
                }
            }
        }
        Ok(blocks)
    }

    /// The softmax of one block, row by row.
    fn probabilities<T: Real>(
        &self,
        q: &Heads<'_>,
        k: &Heads<'_>,
        block: &Block,
    ) -> Result<Vec<T>> {
        let &Block { batch, head, kv_head, start, num_rows, first_key, num_keys } = block;
        let queries = q.rows(batch, head, start, num_rows)?;
        let keys = k.rows(batch, kv_head, first_key, num_keys)?;
        let head_dim = queries.dims()[1];
        let scores = q.storage.matmul(
            k.storage,
            (1, num_rows, num_keys, head_dim),
            &queries,
            &keys.transpose(0, 1)?,
        )?;
        let mut p = T::cpu_storage_data(scores)?;
        let scale = T::from_f64(self.scale);
        for (i, row) in p.chunks_exact_mut(num_keys).enumerate() {
            let keys = self.visible.keys(batch, start + i);
            let (seen, after) = row.split_at_mut(keys.end - first_key);
            let (before, seen) = seen.split_at_mut(keys.start - first_key);
            before.fill(T::zero());
            after.fill(T::zero());
            for p in &mut *seen {
                *p *= scale;
            }
            let max = max(seen);
            for p in &mut *seen {
                *p = (*p - max).exp();
            }
            let total = T::one() / sum(seen, |p| p);
            for p in seen {
                *p *= total;
            }
        }
        Ok(p)
    }

    fn forward<T: Real>(&self, q: &Heads<'_>, k: &Heads<'_>, v: &Heads<'_>) -> Result<CpuStorage> {
        let (_, _, _, head_dim) = q.layout.shape().dims4()?;
        let mut out = Vec::with_capacity(q.layout.shape().elem_count());
        for block in self.blocks(q.layout, k.layout)? {
            let Block { batch, kv_head, num_rows, first_key, num_keys, .. } = block;
            let p = T::to_cpu_storage_owned(self.probabilities::<T>(q, k, &block)?);
            let values = v.rows(batch, kv_head, first_key, num_keys)?;
            let bmnk = (1, num_rows, head_dim, num_keys);
            let rows =
                p.matmul(v.storage, bmnk, &Layout::contiguous((num_rows, num_keys)), &values)?;
            out.extend_from_slice(T::cpu_storage_as_slice(&rows)?);
        }
        Ok(T::to_cpu_storage_owned(out))
    }

    fn backward<T: Real>(&self, arg: &Arguments<'_>, out: &[T], grad: &[T]) -> Result<[Vec<T>; 3]> {
        let Arguments { q, k, v, grad: grad_heads } = arg;
        let (_, heads, num_queries, head_dim) = q.layout.shape().dims4()?;
        let (_, kv_heads, kv_len, _) = k.layout.shape().dims4()?;
        let mut q_grad = Vec::with_capacity(out.len());
        let mut k_grad = vec![T::zero(); k.layout.shape().elem_count()];
        let mut v_grad = vec![T::zero(); k.layout.shape().elem_count()];
        let scale = T::from_f64(self.scale);

        for block in self.blocks(q.layout, k.layout)? {
            let p = self.probabilities::<T>(q, k, &block)?;
            let Block { batch, head, kv_head, start, num_rows, first_key, num_keys } = block;
            let at = ((batch * heads + head) * num_queries + start) * head_dim;
            let grad_rows = grad_heads.rows(batch, head, start, num_rows)?;
            let values = v.rows(batch, kv_head, first_key, num_keys)?.transpose(0, 1)?;
            let bmnk = (1, num_rows, num_keys, head_dim);
            let mut score_grad = T::cpu_storage_data(
                grad_heads.storage.matmul(v.storage, bmnk, &grad_rows, &values)?,
            )?;

            let rows = at..at + num_rows * head_dim;
            let rows =
                grad[rows.clone()].chunks_exact(head_dim).zip(out[rows].chunks_exact(head_dim));
            let score_rows = score_grad.chunks_exact_mut(num_keys).zip(p.chunks_exact(num_keys));
            for ((score_grad, p), (grad, out)) in score_rows.zip(rows) {
                let along = sum2(grad, out, |g, o| g * o);
                for (score_grad, &p) in score_grad.iter_mut().zip(p) {
                    *score_grad = p * (*score_grad - along) * scale;
                }
            }

            let (p, score_grad) = (T::to_cpu_storage_owned(p), T::to_cpu_storage_owned(score_grad));
            let scores = Layout::contiguous((num_rows, num_keys));
            let turned = scores.transpose(0, 1)?;
            let keys = k.rows(batch, kv_head, first_key, num_keys)?;
            let rows =
                score_grad.matmul(k.storage, (1, num_rows, head_dim, num_keys), &scores, &keys)?;
            q_grad.extend_from_slice(T::cpu_storage_as_slice(&rows)?);

            let at = ((batch * kv_heads + kv_head) * kv_len + first_key) * head_dim;
            let kv_rows = at..at + num_keys * head_dim;
            let bmnk = (1, num_keys, head_dim, num_rows);
            let rows = p.matmul(grad_heads.storage, bmnk, &turned, &grad_rows)?;
            add_to(&mut v_grad[kv_rows.clone()], T::cpu_storage_as_slice(&rows)?);
            let queries = q.rows(batch, head, start, num_rows)?;
            let rows = score_grad.matmul(q.storage, bmnk, &turned, &queries)?;
            add_to(&mut k_grad[kv_rows], T::cpu_storage_as_slice(&rows)?);
        }
        Ok([q_grad, k_grad, v_grad])
    }
}

/// What a backward reads.
struct Arguments<'a> {
    q: Heads<'a>,
    k: Heads<'a>,
    v: Heads<'a>,
    /// The output's gradient, contiguous.
    grad: Heads<'a>,
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        ql: &Layout,
        k: &CpuStorage,
        kl: &Layout,
        v: &CpuStorage,
        vl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let heads = |storage, layout| Heads { storage, layout };
        let (q, k, v) = (heads(q, ql), heads(k, kl), heads(v, vl));
        let out = for_real!(q.storage.dtype(), self.name(), T => self.forward::<T>(&q, &k, &v))?;
        Ok((out, ql.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.detach().contiguous()?;
        let [q_view, k_view, v_view, grad_view] = [q, k, v, &grad].map(Tensor::storage_and_layout);
        let arg = Arguments {
            q: Heads { storage: cpu(&q_view.0)?, layout: q_view.1 },
            k: Heads { storage: cpu(&k_view.0)?, layout: k_view.1 },
            v: Heads { storage: cpu(&v_view.0)?, layout: v_view.1 },
            grad: Heads { storage: cpu(&grad_view.0)?, layout: grad_view.1 },
        };
        let out_values = Values::of(out);
        let [q_grad, k_grad, v_grad] = for_real!(q.dtype(), self.name(), T => {
            let grad = contiguous(arg.grad.storage, arg.grad.layout)?;
            let [q_grad, k_grad, v_grad] = self.backward::<T>(&arg, out_values.slice()?, grad)?;
            Ok([
                Tensor::from_vec(q_grad, q.shape(), &Device::Cpu)?,
                Tensor::from_vec(k_grad, k.shape(), &Device::Cpu)?,
                Tensor::from_vec(v_grad, v.shape(), &Device::Cpu)?,
            ])
        })?;
        Ok((
            q.track_op().then_some(q_grad),
            k.track_op().then_some(k_grad),
            v.track_op().then_some(v_grad),
        ))
    }
}
