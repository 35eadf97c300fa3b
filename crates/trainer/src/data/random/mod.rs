//! Batches of random tokens, the same for a seed and a step on every rank and machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::Batch;
use super::batch::BatchRows;
use super::row::Row;
use crate::Error;

/// The size of a random batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RandomSize {
    /// Tokens are below this.
    pub(crate) vocab_size: usize,
    /// Sequences.
    pub(crate) batch_size: usize,
    /// Tokens of each.
    pub(crate) seq_len: usize,
}

/// Sequences in which every token is as likely as every other; the label of each is the next.
pub(crate) fn random_batch(size: RandomSize, seed: u64, step: usize) -> Result<Batch, Error> {
    let RandomSize { vocab_size, batch_size, seq_len } = size;
    let mut rows = BatchRows::new(batch_size, seq_len, false)?;
    let mut rng = rng(seed, step);
    let (mut row, mut tokens) = (Row::default(), Vec::new());
    for _ in 0..batch_size {
        tokens.clear();
        // One more than inputs: the last label.
        tokens.extend((0..=seq_len).map(|_| draw(&mut rng, vocab_size)));
        row.clear();
        row.push(&tokens, std::iter::repeat(true));
        rows.push(&mut row, 0);
    }
    rows.into_batch()
}

/// A stream of random numbers that depends on both.
pub(crate) fn rng(seed: u64, step: usize) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(step as u64).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// A number below `len`, which is at most 2^32: a model's config keeps its vocabulary below that.
pub(crate) fn draw(rng: &mut ChaCha8Rng, len: usize) -> u32 {
    // The upper half of a product of two 32-bit numbers is below the second.
    let product = u128::from(rng.next_u32()) * len as u128;
    u32::try_from(product >> 32).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
