//! Which source a row comes from.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::LoaderProblem;
use crate::Error;

/// The stream of random numbers that sources are drawn with: others of the same seed have others.
const STREAM: u64 = 0x006d_6978;

/// Draws a source for each row by a random number of its own, which depends on the seed and the
/// row's number and on nothing else, so that one can go on anywhere.
///
/// Of many rows, each source has the share of its weight. Of few it may have more or less; handing
/// out the largest deficit would be closer, but puts the rows of equal weights in a fixed rhythm.
#[derive(Clone, Debug)]
pub(super) struct Mix {
    /// The sums of the weights up to each source, rising; the last is all of them.
    sums: Vec<f64>,
    rng: ChaCha8Rng,
}

impl Mix {
    /// # Errors
    /// If there is no source, or a weight by which nothing can be drawn.
    pub(super) fn new(weights: &[f64], seed: u64) -> Result<Self, Error> {
        let mut sum = 0.0_f64;
        let mut sums = Vec::with_capacity(weights.len());
        for (&weight, source_number) in weights.iter().zip(1..) {
            if !(weight > 0.0 && weight.is_finite()) {
                return Err(LoaderProblem::Weight { source_number, weight }.into());
            }
            sum += weight;
            sums.push(sum);
        }
        match sums.last() {
            None => Err(LoaderProblem::NoSource.into()),
            Some(sum) if !sum.is_finite() => Err(LoaderProblem::Weights.into()),
            Some(_) => {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(STREAM);
                Ok(Self { sums, rng })
            }
        }
    }

    /// The number of the source that a row comes from, counted from 0.
    pub(super) fn source_of(&mut self, row: u64) -> usize {
        let Some((all, before)) = self.sums.split_last() else { return 0 };
        // One draw is two words of the stream.
        self.rng.set_word_pos(u128::from(row) * 2);
        #[expect(clippy::cast_precision_loss, reason = "53 bits, which a f64 holds")]
        let share = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        before.partition_point(|&sum| sum <= share * all)
    }
}

#[cfg(test)]
mod tests;
