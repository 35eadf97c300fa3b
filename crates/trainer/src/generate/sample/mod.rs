//! Which token follows: the likeliest, or one drawn by its probability.

#[cfg(test)]
mod tests;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

use super::{GenerateProblem, SamplingProblem};
use crate::Error;
use crate::data::rng;

/// How a token is drawn: by `softmax(logits / temperature)`, of the `top_k` likeliest ones, and of
/// those the fewest that together have the probability `top_p`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    temperature: f64,
    top_k: Option<usize>,
    top_p: Option<f64>,
    seed: u64,
}

impl Sampling {
    /// The same `seed` draws the same text.
    ///
    /// # Errors
    /// Everything that is out of range.
    pub fn new(
        temperature: f64,
        top_k: Option<usize>,
        top_p: Option<f64>,
        seed: u64,
    ) -> Result<Self, Error> {
        let mut problems = Vec::new();
        if !(temperature.is_finite() && temperature > 0.0) {
            problems.push(SamplingProblem::Temperature { temperature });
        }
        if top_k == Some(0) {
            problems.push(SamplingProblem::TopK);
        }
        if let Some(top_p) = top_p
            && !(top_p > 0.0 && top_p <= 1.0)
        {
            problems.push(SamplingProblem::TopP { top_p });
        }
        if problems.is_empty() {
            Ok(Self { temperature, top_k, top_p, seed })
        } else {
            Err(Error::Sampling(problems))
        }
    }
}

/// Chooses one token after the other.
pub(super) enum Picker {
    Likeliest,
    Drawn { sampling: Sampling, rng: Box<ChaCha8Rng> },
}

impl Picker {
    pub(super) fn new(sampling: Option<Sampling>) -> Self {
        match sampling {
            None => Self::Likeliest,
            Some(sampling) => Self::Drawn { sampling, rng: Box::new(rng(sampling.seed, 0)) },
        }
    }

    /// A token by the logits of all; of equal ones the first is the likelier.
    pub(super) fn pick(&mut self, logits: &[f32]) -> Result<u32, GenerateProblem> {
        let is_wrong = |logit: f32| logit.is_nan() || logit == f32::INFINITY;
        if let Some(token) = logits.iter().position(|logit| is_wrong(*logit)) {
            return Err(GenerateProblem::Logit { token, logit: logits[token] });
        }
        let all = (0..).zip(logits.iter().copied());
        Ok(match self {
            Self::Likeliest => {
                let best = all.reduce(|best, next| if next.1 > best.1 { next } else { best });
                best.map_or(0, |(token, _)| token)
            }
            Self::Drawn { sampling, rng } => {
                let mut tokens: Vec<(u32, f32)> = all.collect();
                // Stable: equal ones stay in their order.
                tokens.sort_by(|a, b| b.1.total_cmp(&a.1));
                let weights = weights(&tokens, sampling);
                drawn(&tokens, &weights, unit(rng))
            }
        })
    }
}

/// What the likeliest tokens weigh, as many as there are to draw from.
fn weights(tokens: &[(u32, f32)], sampling: &Sampling) -> Vec<f64> {
    let Sampling { temperature, top_k, top_p, .. } = *sampling;
    let best = tokens.first().map_or(0.0, |(_, logit)| f64::from(*logit));
    let of_top_k = &tokens[..top_k.unwrap_or(tokens.len()).min(tokens.len())];
    let mut weights: Vec<f64> = of_top_k
        .iter()
        .map(|(_, logit)| ((f64::from(*logit) - best) / temperature).exp())
        .collect();
    if let Some(top_p) = top_p {
        let enough = top_p * weights.iter().sum::<f64>();
        let mut sum = 0.0;
        let num = weights.iter().take_while(|weight| {
            let is_wanted = sum < enough;
            sum += **weight;
            is_wanted
        });
        let num = num.count();
        weights.truncate(num.max(1));
    }
    weights
}

/// The token at a place between 0 and 1 of all weights in a row.
fn drawn(tokens: &[(u32, f32)], weights: &[f64], place: f64) -> u32 {
    let mut rest = place * weights.iter().sum::<f64>();
    for ((token, _), weight) in tokens.iter().zip(weights) {
        if rest < *weight {
            return *token;
        }
        rest -= weight;
    }
    // Rounding may leave a rest at the very end; the likeliest is never wrong.
    tokens.first().map_or(0, |(token, _)| *token)
}

/// A number from 0 to below 1.
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float64 holds")]
    let bits = (rng.next_u64() >> 11) as f64;
    bits / (1_u64 << 53) as f64
}
