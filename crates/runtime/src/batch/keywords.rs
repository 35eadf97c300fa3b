//! What a forward is told of its microbatch besides the tensors that it computes with.

use std::collections::BTreeMap;

use autopipe_nn::Noise;
use candle_core::{Result, Tensor};

use super::InputValue;

/// What every stage of the rank is told of a microbatch on its forward, and again where that is
/// recomputed: the keyword inputs, to which no gradient goes back, the microbatch's share of the
/// optimiser's step, and what its random numbers depend on.
#[derive(Clone, Debug)]
pub struct Keywords {
    values: BTreeMap<String, InputValue>,
    share: f64,
    noise: Option<Noise>,
}

impl Default for Keywords {
    fn default() -> Self {
        Self::from_iter(BTreeMap::<String, InputValue>::new())
    }
}

impl Keywords {
    /// None, of a microbatch that is the whole step and draws no random numbers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with another [`share`](Self::share).
    #[must_use]
    pub fn with_share(self, share: f64) -> Self {
        Self { share, ..self }
    }

    /// The same with other [`noise`](Self::noise).
    #[must_use]
    pub fn with_noise(self, noise: Option<Noise>) -> Self {
        Self { noise, ..self }
    }

    /// Which part of the optimiser's step this microbatch is, from 0 to 1. The mean of something over
    /// the microbatch's rows, times this and added up over all microbatches of the step, is its mean
    /// over the rows of the step: what an auxiliary loss is to be multiplied by, so that it weighs
    /// the same however the step is cut.
    ///
    /// The rows are counted by the rank of the first stage: the samples of the batch's first input
    /// along the dimension in which it is cut, or the sizes of dimension 0 of its pieces. Of an
    /// input that is the same for all, the next one's count; if there is nothing to count, each
    /// microbatch is one row.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// What random numbers depend on. Without it, as in every evaluation, a layer leaves nothing to
    /// chance and drops nothing.
    pub fn noise(&self) -> Option<Noise> {
        self.noise
    }

    /// The value given under this name.
    pub fn get(&self, name: &str) -> Option<&InputValue> {
        self.values.get(name)
    }

    /// The tensor given under this name; `None` if nothing was, or [`InputValue::None`].
    ///
    /// # Errors
    /// If something else was given.
    pub fn tensor(&self, name: &str) -> Result<Option<&Tensor>> {
        match self.values.get(name) {
            None | Some(InputValue::None) => Ok(None),
            Some(InputValue::Tensor(tensor)) => Ok(Some(tensor)),
            Some(other) => {
                candle_core::bail!(
                    "the keyword input `{name}` has to be a tensor, got {}",
                    other.kind()
                )
            }
        }
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &InputValue)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<N: Into<String>, V: Into<InputValue>> FromIterator<(N, V)> for Keywords {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(values: I) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { values, share: 1.0, noise: None }
    }
}
