//! How many rows each microbatch has, the same on every rank.

use candle_core::Tensor;

use super::input::chunk;
use super::{Batch, Input};

/// The rows of a batch by microbatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Where each microbatch begins, and behind the last one where the batch ends; at least one row.
    starts: Vec<usize>,
}

impl Rows {
    /// By what is cut first of inputs, keyword inputs and target; one row each if nothing is.
    pub(crate) fn of(batch: &Batch, num_microbatches: usize) -> Self {
        let all = batch.inputs.iter().chain(batch.keywords.values()).chain(&batch.target);
        let counted = all.filter_map(|input| rows_of(input, num_microbatches)).next();
        Self::new(counted.unwrap_or_default(), num_microbatches)
    }

    /// From the number of each microbatch. If they are none, each microbatch has one.
    pub(crate) fn new(counts: Vec<usize>, num_microbatches: usize) -> Self {
        let is_counted = counts.len() == num_microbatches && counts.iter().any(|&rows| rows > 0);
        let counts = if is_counted { counts } else { vec![1; num_microbatches] };
        let mut end = 0_usize;
        let ends = counts.into_iter().map(|rows| {
            end = end.saturating_add(rows);
            end
        });
        Self { starts: std::iter::once(0).chain(ends).collect() }
    }

    pub(crate) fn num_microbatches(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many rows each microbatch has.
    pub(crate) fn counts(&self) -> impl Iterator<Item = usize> {
        self.starts.windows(2).map(|pair| pair[1] - pair[0])
    }

    /// Where a microbatch begins.
    pub(crate) fn before(&self, index: usize) -> usize {
        self.starts[index]
    }

    /// Which part of the batch's rows a microbatch has.
    #[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^53 rows")]
    pub(crate) fn part(&self, index: usize) -> f64 {
        let rows = self.starts[index + 1] - self.starts[index];
        rows as f64 / self.starts[self.num_microbatches()] as f64
    }
}

/// The rows that an input gives each microbatch, if it can be told and gives any.
fn rows_of(input: &Input, num_microbatches: usize) -> Option<Vec<usize>> {
    let counts: Vec<usize> = match input {
        Input::Along { tensor, dim } => {
            let samples = *tensor.dims().get(*dim)?;
            (0..num_microbatches).map(|index| chunk(samples, num_microbatches, index).1).collect()
        }
        Input::Each(tensors) => tensors.iter().map(first_dim).collect::<Option<_>>()?,
        Input::Same(_) => return None,
    };
    counts.iter().any(|&rows| rows > 0).then_some(counts)
}

fn first_dim(tensor: &Tensor) -> Option<usize> {
    tensor.dims().first().copied()
}
