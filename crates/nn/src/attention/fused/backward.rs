//! The gradients, block by block, from probabilities that are computed again.

use std::ops::Range;

use candle_core::Result;

use super::super::visible::Visible;
use super::blocks::{Block, Extent};
use super::heads::Heads;
use super::scores::{Softcap, differentiate, probabilities};
use crate::cpu::{Matrix, Number, add_product, put_product, sum2, vectorised};

/// What a backward reads.
pub(super) struct Arguments<'a, N: Number> {
    pub(super) q: Heads<'a, N>,
    pub(super) k: Heads<'a, N>,
    pub(super) v: Heads<'a, N>,
    /// The output and its gradient, contiguous.
    pub(super) out: &'a [N],
    pub(super) grad: &'a [N],
    pub(super) log_sums: &'a [N::Real],
    pub(super) scale: N::Real,
    pub(super) softcap: Option<Softcap<N::Real>>,
}

/// The gradients, contiguous.
pub(super) struct Gradients<N> {
    pub(super) q: Vec<N>,
    pub(super) k: Vec<N>,
    pub(super) v: Vec<N>,
}

pub(super) fn run<N: Number>(
    extent: &Extent,
    visible: &Visible,
    arg: &Arguments<'_, N>,
) -> Result<Gradients<N>> {
    let &Extent { batch, kv_heads, group, num_keys, head_dim, .. } = extent;
    let (zero, one) = (N::zero().wide(), N::one().wide());
    let kv_len = num_keys * head_dim;
    let mut grads = Gradients {
        q: vec![N::zero(); arg.out.len()],
        k: Vec::with_capacity(batch * kv_heads * kv_len),
        v: Vec::with_capacity(batch * kv_heads * kv_len),
    };

    let mut work = Work::<N>::new(extent);
    for batch in 0..batch {
        let blocks = extent.blocks(visible, batch);
        for kv_head in 0..kv_heads {
            arg.k.copy([batch, kv_head], 0..num_keys, one, &mut work.keys);
            arg.v.copy([batch, kv_head], 0..num_keys, one, &mut work.values);
            work.key_grads.fill(zero);
            work.value_grads.fill(zero);
            for block in &blocks {
                let num_positions = block.positions.len();
                for i in 0..group {
                    let head = [batch, kv_head * group + i];
                    let to = &mut work.queries[i * num_positions * head_dim..];
                    arg.q.copy(head, block.positions.clone(), arg.scale, to);
                    let at = extent.rows(head, &block.positions);
                    work.load(i * num_positions, arg, at, head_dim);
                }
                work.back(block, head_dim, arg.softcap)?;
                for i in 0..group {
                    let at = extent.rows([batch, kv_head * group + i], &block.positions);
                    let from = &work.query_grads[i * num_positions * head_dim..];
                    let to = &mut grads.q[at.start * head_dim..at.end * head_dim];
                    for (to, &grad) in to.iter_mut().zip(from) {
                        *to = N::narrow(grad * arg.scale);
                    }
                }
            }
            grads.k.extend(work.key_grads.iter().map(|&grad| N::narrow(grad)));
            grads.v.extend(work.value_grads.iter().map(|&grad| N::narrow(grad)));
        }
    }
    Ok(grads)
}

/// What one block needs; used again for the next.
struct Work<N: Number> {
    keys: Vec<N::Real>,
    values: Vec<N::Real>,
    key_grads: Vec<N::Real>,
    value_grads: Vec<N::Real>,
    /// Multiplied by the scale.
    queries: Vec<N::Real>,
    query_grads: Vec<N::Real>,
    /// The output's gradient.
    grad: Vec<N::Real>,
    /// Of each row: the logarithm of its sum, and `Σ G·out`.
    rows: Vec<(N::Real, N::Real)>,
    probabilities: Vec<N::Real>,
    score_grads: Vec<N::Real>,
}

impl<N: Number> Work<N> {
    fn new(extent: &Extent) -> Self {
        let zeros = |num| vec![N::zero().wide(); num];
        let (num_rows, head_dim) = (extent.num_rows(), extent.head_dim);
        Self {
            keys: zeros(extent.num_keys * head_dim),
            values: zeros(extent.num_keys * head_dim),
            key_grads: zeros(extent.num_keys * head_dim),
            value_grads: zeros(extent.num_keys * head_dim),
            queries: zeros(num_rows * head_dim),
            query_grads: zeros(num_rows * head_dim),
            grad: zeros(num_rows * head_dim),
            rows: vec![(N::zero().wide(), N::zero().wide()); num_rows],
            probabilities: zeros(extent.num_scores()),
            score_grads: zeros(extent.num_scores()),
        }
    }

    /// Copies the rows `at` of one head, to stand from `first` on in the block.
    fn load(&mut self, first: usize, arg: &Arguments<'_, N>, at: Range<usize>, head_dim: usize) {
        let numbers = at.start * head_dim..at.end * head_dim;
        let (out, grad) = (&arg.out[numbers.clone()], &arg.grad[numbers]);
        let to = &mut self.grad[first * head_dim..];
        let rows = &mut self.rows[first..];
        let log_sums = &arg.log_sums[at];
        vectorised(
            #[inline(always)]
            || {
                for (to, grad) in to.iter_mut().zip(grad) {
                    *to = grad.wide();
                }
                let lines = grad.chunks_exact(head_dim).zip(out.chunks_exact(head_dim));
                for ((row, &log_sum), (grad, out)) in rows.iter_mut().zip(log_sums).zip(lines) {
                    *row = (log_sum, sum2(grad, out, |g, o| g * o));
                }
            },
        );
    }

    fn back(
        &mut self,
        block: &Block,
        head_dim: usize,
        softcap: Option<Softcap<N::Real>>,
    ) -> Result<()> {
        let num_rows = block.num_rows;
        let queries = Matrix::of_rows(&self.queries, num_rows, head_dim)?;
        let grad = Matrix::of_rows(&self.grad, num_rows, head_dim)?;
        let query_grads = &mut self.query_grads[..num_rows * head_dim];
        query_grads.fill(N::zero().wide());

        for part in block.keys() {
            let num_keys = part.len();
            let at = part.start * head_dim..part.end * head_dim;
            let keys = Matrix::of_rows(&self.keys[at.clone()], num_keys, head_dim)?;
            let values = Matrix::of_rows(&self.values[at.clone()], num_keys, head_dim)?;
            let p = &mut self.probabilities[..num_rows * num_keys];
            let score_grads = &mut self.score_grads[..num_rows * num_keys];
            put_product(p, queries, keys.t())?;
            put_product(score_grads, grad, values.t())?;
            vectorised(
                #[inline(always)]
                || {
                    let lines = p.chunks_exact_mut(num_keys);
                    let lines = lines.zip(score_grads.chunks_exact_mut(num_keys)).zip(&self.rows);
                    for (((p, score_grads), &(log_sum, along)), seen) in
                        lines.zip(block.seen_of(&part))
                    {
                        match softcap {
                            Some(softcap) => softcap.back(p, score_grads, seen, [log_sum, along]),
                            None => {
                                probabilities(p, seen, log_sum);
                                differentiate(score_grads, p, along);
                            }
                        }
                    }
                },
            );
            let p = Matrix::of_rows(p, num_rows, num_keys)?;
            let score_grads = Matrix::of_rows(score_grads, num_rows, num_keys)?;
            add_product(&mut self.value_grads[at.clone()], p.t(), grad)?;
            add_product(&mut self.key_grads[at], score_grads.t(), queries)?;
            add_product(query_grads, score_grads, keys)?;
        }
        Ok(())
    }
}
