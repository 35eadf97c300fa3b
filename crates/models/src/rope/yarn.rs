//! YaRN: frequencies between those of the original length and slower ones, along a ramp over the pairs.

use std::f64::consts::PI;

use super::{narrow, powers};

/// What YaRN is told by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Yarn {
    /// By how much pairs turn slower.
    pub(super) factor: f64,
    /// Pairs that turn more often within the original length stay as they are.
    pub(super) beta_fast: f64,
    /// Those that turn less often are slower by all of the factor.
    pub(super) beta_slow: f64,
    /// Whether the ramp begins and ends at whole pairs.
    pub(super) truncate: bool,
    /// What sine and cosine are multiplied by.
    pub(super) attention_factor: f64,
    /// The length of the first training.
    pub(super) original: usize,
}

impl Yarn {
    #[expect(clippy::cast_precision_loss, reason = "heads have far fewer than 2^23 numbers")]
    pub(super) fn frequencies(&self, dim: usize, theta: f64) -> Vec<f32> {
        let width = dim as f64;
        // The pair that turns so many times within the original length.
        let pair = |turns: f64| {
            width * (self.original as f64 / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln())
        };
        let (mut low, mut high) = (pair(self.beta_fast), pair(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        (low, high) = (low.max(0.0), high.min(width - 1.0));
        if low == high {
            high += 0.001;
        }
        let (low, ramp, factor) = (narrow(low), narrow(high - low), narrow(self.factor));
        let blend = |(i, power): (usize, f32)| {
            let kept = 1.0 - ((i as f32 - low) / ramp).clamp(0.0, 1.0);
            1.0 / (factor * power) * (1.0 - kept) + 1.0 / power * kept
        };
        powers(dim, theta).enumerate().map(blend).collect()
    }
}
