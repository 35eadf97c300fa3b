//! The output, block by block, with the maximum and the sum of each row kept up to date.

use candle_core::{Result, WithDType};

use super::super::visible::Visible;
use super::blocks::{Block, Extent};
use super::heads::Heads;
use super::scores::{Softcap, exponentiate};
use crate::cpu::{Matrix, Number, add_product, put_product, vectorised};

/// What becomes of the products of queries and keys before the softmax.
pub(super) struct Scores<T> {
    pub(super) scale: T,
    pub(super) softcap: Option<Softcap<T>>,
}

/// The output and the logarithms of the rows' sums.
pub(super) fn run<N: Number>(
    extent: &Extent,
    visible: &Visible,
    [q, k, v]: &[Heads<'_, N>; 3],
    &Scores { scale, softcap }: &Scores<N::Real>,
) -> Result<(Vec<N>, Vec<N::Real>)> {
    let &Extent { batch, kv_heads, group, num_keys, head_dim, .. } = extent;
    let (zero, one) = (N::zero().wide(), N::one().wide());
    let mut out = vec![N::zero(); extent.num_outputs() * head_dim];
    let mut log_sums = vec![zero; extent.num_outputs()];

    let mut work = Work::<N>::new(extent);
    for batch in 0..batch {
        let blocks = extent.blocks(visible, batch);
        for kv_head in 0..kv_heads {
            k.copy([batch, kv_head], 0..num_keys, one, &mut work.keys);
            v.copy([batch, kv_head], 0..num_keys, one, &mut work.values);
            for block in &blocks {
                let num_positions = block.positions.len();
                for i in 0..group {
                    let head = [batch, kv_head * group + i];
                    let to = &mut work.queries[i * num_positions * head_dim..];
                    q.copy(head, block.positions.clone(), scale, to);
                }
                work.attend(block, head_dim, softcap)?;
                for i in 0..group {
                    let at = extent.rows([batch, kv_head * group + i], &block.positions);
                    let out = &mut out[at.start * head_dim..at.end * head_dim];
                    work.finish(i * num_positions, out, &mut log_sums[at]);
                }
            }
        }
    }
    Ok((out, log_sums))
}

/// What one block needs; used again for the next.
struct Work<N: Number> {
    keys: Vec<N::Real>,
    values: Vec<N::Real>,
    queries: Vec<N::Real>,
    scores: Vec<N::Real>,
    /// The values, weighted with exponentials relative to the row's largest score.
    sums: Vec<N::Real>,
    rows: Vec<Row<N::Real>>,
}

/// The softmax of one row so far.
#[derive(Clone, Copy)]
struct Row<T> {
    largest: T,
    /// The sum of exponentials relative to the largest.
    total: T,
}

impl<N: Number> Work<N> {
    fn new(extent: &Extent) -> Self {
        let zeros = |num| vec![N::zero().wide(); num];
        let (num_rows, head_dim) = (extent.num_rows(), extent.head_dim);
        Self {
            keys: zeros(extent.num_keys * head_dim),
            values: zeros(extent.num_keys * head_dim),
            queries: zeros(num_rows * head_dim),
            scores: zeros(extent.num_scores()),
            sums: zeros(num_rows * head_dim),
            rows: Vec::with_capacity(num_rows),
        }
    }

    fn attend(
        &mut self,
        block: &Block,
        head_dim: usize,
        softcap: Option<Softcap<N::Real>>,
    ) -> Result<()> {
        let (zero, one) = (N::zero().wide(), N::one().wide());
        let num_rows = block.num_rows;
        let lowest = <N::Real as WithDType>::from_f64(f64::NEG_INFINITY);
        self.rows.clear();
        self.rows.resize(num_rows, Row { largest: lowest, total: zero });
        let Self { keys, values, queries, scores, sums, rows } = self;

        let queries = Matrix::of_rows(queries, num_rows, head_dim)?;
        let sums = &mut sums[..num_rows * head_dim];
        for (i, part) in block.keys().enumerate() {
            let num_keys = part.len();
            let scores = &mut scores[..num_rows * num_keys];
            let at = part.start * head_dim..part.end * head_dim;
            let keys = Matrix::of_rows(&keys[at.clone()], num_keys, head_dim)?;
            let values = Matrix::of_rows(&values[at], num_keys, head_dim)?;
            put_product(scores, queries, keys.t())?;
            vectorised(
                #[inline(always)]
                || {
                    let lines = scores.chunks_exact_mut(num_keys).zip(&mut *rows);
                    let lines = lines.zip(sums.chunks_exact_mut(head_dim));
                    for (((scores, row), sums), seen) in lines.zip(block.seen_of(&part)) {
                        if let Some(softcap) = softcap {
                            softcap.apply(scores, &seen);
                        }
                        let shrink = exponentiate(scores, seen, &mut row.largest, &mut row.total);
                        if i > 0 && shrink != one {
                            for sum in sums {
                                *sum *= shrink;
                            }
                        }
                    }
                },
            );
            let weights = Matrix::of_rows(scores, num_rows, num_keys)?;
            if i == 0 {
                put_product(sums, weights, values)?;
            } else {
                add_product(sums, weights, values)?;
            }
        }
        Ok(())
    }

    /// Writes the rows of one head, from `first` on in the block.
    fn finish(&self, first: usize, out: &mut [N], log_sums: &mut [N::Real]) {
        let width = out.len() / log_sums.len();
        let rows = &self.rows[first..];
        for (log_sum, row) in log_sums.iter_mut().zip(rows) {
            let log = <N::Real as WithDType>::from_f64(row.total.into().ln());
            *log_sum = row.largest + log;
        }
        let sums = &self.sums[first * width..];
        vectorised(
            #[inline(always)]
            || {
                let lines = out.chunks_exact_mut(width).zip(sums.chunks_exact(width));
                for ((out, sums), row) in lines.zip(rows) {
                    let inverse = N::one().wide() / row.total;
                    for (out, &sum) in out.iter_mut().zip(sums) {
                        *out = N::narrow(sum * inverse);
                    }
                }
            },
        );
    }
}
