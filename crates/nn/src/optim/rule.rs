//! The rules by which parameters are updated, and their constants.

use candle_core::Result;

use super::{adamw, lion, sgd};
use crate::Error;

/// How a parameter follows its gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Adam with decoupled weight decay.
    AdamW(AdamWConfig),
    /// Stochastic gradient descent, perhaps with momentum.
    Sgd(SgdConfig),
    /// The sign of a momentum.
    Lion(LionConfig),
}

/// The constants of AdamW; the default ones are torch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWConfig {
    /// How much of the mean gradient is kept each step.
    pub beta1: f64,
    /// How much of the mean squared gradient is kept each step.
    pub beta2: f64,
    /// What keeps the root of the mean square from zero.
    pub eps: f64,
    /// The fraction of a weight, times the learning rate, that decays each step.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 }
    }
}

/// The constants of stochastic gradient descent; the default ones are torch's, which are all 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SgdConfig {
    /// How much of the momentum is kept each step; with 0 there is none, and no state.
    pub momentum: f64,
    /// Which part of a gradient does not come into the momentum, from the second step on.
    pub dampening: f64,
    /// Where the gradient is taken that the momentum goes on from.
    pub lookahead: Lookahead,
    /// Which part of a weight is added to its gradient. Unlike AdamW's and Lion's decay, it goes
    /// through the momentum.
    pub weight_decay: f64,
}

/// Which momentum a step of stochastic gradient descent takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lookahead {
    /// The one that the gradient has come to.
    #[default]
    None,
    /// The gradient and the momentum after it, as if it had come to that once more; needs momentum
    /// without dampening. It is torch's `nesterov=True`.
    Nesterov,
}

/// The constants of Lion; the default ones are the paper's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LionConfig {
    /// How much of the mean gradient is in the sum whose sign is the update.
    pub beta1: f64,
    /// How much of the mean gradient is kept each step.
    pub beta2: f64,
    /// The fraction of a weight, times the learning rate, that decays each step.
    pub weight_decay: f64,
}

impl Default for LionConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.99, weight_decay: 0. }
    }
}

impl From<AdamWConfig> for Rule {
    fn from(config: AdamWConfig) -> Self {
        Self::AdamW(config)
    }
}

impl From<SgdConfig> for Rule {
    fn from(config: SgdConfig) -> Self {
        Self::Sgd(config)
    }
}

impl From<LionConfig> for Rule {
    fn from(config: LionConfig) -> Self {
        Self::Lion(config)
    }
}

impl Rule {
    /// What it remembers of a parameter, by torch's names, each of the parameter's shape.
    pub fn state_names(&self) -> &'static [&'static str] {
        match self {
            Self::AdamW(_) => adamw::NAMES,
            Self::Sgd(config) if config.momentum == 0. => &[],
            Self::Sgd(_) => sgd::NAMES,
            Self::Lion(_) => lion::NAMES,
        }
    }

    /// The decay of a parameter for which no group says another one.
    pub(super) fn weight_decay(&self) -> f64 {
        match self {
            Self::AdamW(config) => config.weight_decay,
            Self::Sgd(config) => config.weight_decay,
            Self::Lion(config) => config.weight_decay,
        }
    }

    /// # Errors
    /// If a constant is out of its range.
    pub(super) fn check(&self) -> Result<()> {
        at_least_zero("weight_decay", self.weight_decay())?;
        match *self {
            Self::AdamW(AdamWConfig { beta1, beta2, eps, .. }) => {
                fraction("beta1", beta1)?;
                fraction("beta2", beta2)?;
                at_least_zero("eps", eps)
            }
            Self::Sgd(SgdConfig { momentum, dampening, lookahead, .. }) => {
                at_least_zero("momentum", momentum)?;
                at_least_zero("dampening", dampening)?;
                match lookahead {
                    Lookahead::None => Ok(()),
                    Lookahead::Nesterov if momentum == 0. => {
                        setting("momentum", "above 0 for Nesterov's lookahead", momentum)
                    }
                    Lookahead::Nesterov if dampening != 0. => {
                        setting("dampening", "0 for Nesterov's lookahead", dampening)
                    }
                    Lookahead::Nesterov => Ok(()),
                }
            }
            Self::Lion(LionConfig { beta1, beta2, .. }) => {
                fraction("beta1", beta1)?;
                fraction("beta2", beta2)
            }
        }
    }
}

fn fraction(what: &'static str, actual: f64) -> Result<()> {
    if (0. ..1.).contains(&actual) {
        return Ok(());
    }
    setting(what, "at least 0 and below 1", actual)
}

pub(super) fn at_least_zero(what: &'static str, actual: f64) -> Result<()> {
    if actual.is_finite() && actual >= 0. {
        return Ok(());
    }
    setting(what, "at least 0", actual)
}

fn setting(what: &'static str, expected: &'static str, actual: f64) -> Result<()> {
    Err(Error::Setting { what, expected, actual }.into())
}
