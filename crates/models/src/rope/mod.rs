//! Rotary embeddings with their scalings: how fast each pair of a head's numbers turns.

mod read;
mod table;
mod yarn;

#[cfg(test)]
mod tests;

use autopipe_nn::RotaryEmbedding;
use candle_core::Result;

pub(crate) use read::{Context, Dialect, per_layer_type, read};
use yarn::Yarn;

/// A rotary embedding as a config describes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rope {
    /// How many of a head's numbers are turned, the first ones; even.
    pub(crate) dim: usize,
    /// The base of the frequencies.
    pub(crate) theta: f64,
    pub(crate) scaling: Scaling,
}

/// How the frequencies are changed for sequences longer than those of the first training.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scaling {
    None,
    /// All turn slower by `factor`.
    Linear {
        factor: f64,
    },
    /// The base grows with the sequence where that is longer than `max_positions` (NTK-aware).
    Dynamic {
        factor: f64,
        max_positions: usize,
    },
    /// Llama 3.1: pairs with long waves turn slower by `factor`, those with short ones do not, those
    /// between are between.
    Llama3 {
        factor: f64,
        low_freq_factor: f64,
        high_freq_factor: f64,
        original: usize,
    },
    /// [Peng et al., 2023](https://arxiv.org/abs/2309.00071): the same by the number of turns within
    /// the original length, and all scores are changed.
    Yarn(Yarn),
    /// [Ding et al., 2024](https://arxiv.org/abs/2402.13753): a divisor for each pair, other ones
    /// where the sequence is longer than `original`.
    LongRope {
        short: Vec<f32>,
        long: Vec<f32>,
        attention_factor: f64,
        original: usize,
    },
}

impl Rope {
    /// The frequencies for sequences of `seq_len` tokens, computed in float32 as transformers does.
    pub(crate) fn embedding(&self, seq_len: usize) -> Result<RotaryEmbedding> {
        let plain = || frequencies(self.dim, self.theta);
        let (inv_freq, factor) = match &self.scaling {
            Scaling::None => (plain(), 1.0),
            Scaling::Linear { factor } => {
                (plain().into_iter().map(|freq| freq / narrow(*factor)).collect(), 1.0)
            }
            Scaling::Dynamic { factor, max_positions } => {
                (frequencies(self.dim, self.grown_theta(*factor, *max_positions, seq_len)), 1.0)
            }
            Scaling::Llama3 { factor, low_freq_factor, high_freq_factor, original } => {
                let bend =
                    |freq| llama3(freq, *factor, *low_freq_factor, *high_freq_factor, *original);
                (plain().into_iter().map(bend).collect(), 1.0)
            }
            Scaling::Yarn(yarn) => (yarn.frequencies(self.dim, self.theta), yarn.attention_factor),
            Scaling::LongRope { short, long, attention_factor, original } => {
                let divisors = if seq_len > *original { long } else { short };
                let powers = powers(self.dim, self.theta);
                let slowed = powers.zip(divisors).map(|(power, by)| 1.0 / (by * power));
                (slowed.collect(), *attention_factor)
            }
        };
        Ok(RotaryEmbedding::new(inv_freq).with_factor(narrow(factor)))
    }

    /// The base for a sequence that is longer than the model was made for.
    #[expect(clippy::cast_precision_loss, reason = "sequences have far fewer than 2^53 tokens")]
    fn grown_theta(&self, factor: f64, max_positions: usize, seq_len: usize) -> f64 {
        let dim = self.dim as f64;
        let longer = seq_len.max(max_positions) as f64 / max_positions as f64;
        self.theta * (factor * longer - (factor - 1.0)).powf(dim / (dim - 2.0))
    }
}

/// `theta^(-2i / dim)` for each pair.
fn frequencies(dim: usize, theta: f64) -> Vec<f32> {
    powers(dim, theta).map(|power| 1.0 / power).collect()
}

/// `theta^(2i / dim)` for each pair.
#[expect(clippy::cast_precision_loss, reason = "heads have far fewer than 2^23 numbers")]
fn powers(dim: usize, theta: f64) -> impl Iterator<Item = f32> {
    let theta = narrow(theta);
    (0..dim).step_by(2).map(move |i| theta.powf(i as f32 / dim as f32))
}

/// Llama 3.1's frequency for a pair that had `freq`.
#[expect(clippy::cast_precision_loss, reason = "sequences have far fewer than 2^23 tokens")]
fn llama3(freq: f32, factor: f64, low: f64, high: f64, original: usize) -> f32 {
    let (original, factor) = (original as f32, narrow(factor));
    let wave = 2.0 * std::f32::consts::PI / freq;
    let (longest, shortest) = (original / narrow(low), original / narrow(high));
    if wave > longest {
        freq / factor
    } else if wave < shortest {
        freq
    } else {
        let smooth = (original / wave - narrow(low)) / narrow(high - low);
        (1.0 - smooth) * freq / factor + smooth * freq
    }
}

/// What is computed in float32 in the original as well.
#[expect(clippy::cast_possible_truncation, reason = "checked to be in the range of float32")]
fn narrow(x: f64) -> f32 {
    x as f32
}
