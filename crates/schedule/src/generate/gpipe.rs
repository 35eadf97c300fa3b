//! GPipe: all forwards, then all backwards.
//!
//! ```text
//! bubble       (p - 1) (F + B)            for p ranks, whatever the number m of microbatches
//! rate         (p - 1) / (m + p - 1)
//! activations  m microbatches on every rank
//!
//! p = 3, m = 4; one column a step
//! rank 0  0F0 0F1 0F2 0F3  .   .   .   .  0B0 0B1 0B2 0B3
//! rank 1   .  1F0 1F1 1F2 1F3  .   .  1B0 1B1 1B2 1B3
//! rank 2   .   .  2F0 2F1 2F2 2F3 2B0 2B1 2B2 2B3
//! ```
//!
//! Backwards come in the order of the forwards. Simple, and with few microbatches as fast as 1F1B;
//! but every activation of the batch is alive at once.
//!
//! Huang et al., *GPipe: Efficient Training of Giant Neural Networks using Pipeline Parallelism*,
//! 2019, <https://arxiv.org/abs/1811.06965>.

use super::{Extent, Row};

/// The row of a rank, which has the stage of its own number.
pub(super) fn row(rank: usize, extent: &Extent) -> Row {
    let &Extent { num_microbatches, .. } = extent;
    let mut row = Row::new();
    for microbatch in 0..num_microbatches {
        row.forward(rank, microbatch);
    }
    for microbatch in 0..num_microbatches {
        row.backward(rank, microbatch);
    }
    row
}
