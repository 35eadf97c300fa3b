//! What a microbatch brings to every stage by name.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use super::InputValue;

/// The keyword inputs of one microbatch: every stage of the rank gets them, on its forward.
///
/// No gradient goes back to them.
#[derive(Clone, Debug, Default)]
pub struct Keywords(BTreeMap<String, InputValue>);

impl Keywords {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value given under this name.
    pub fn get(&self, name: &str) -> Option<&InputValue> {
        self.0.get(name)
    }

    /// The tensor given under this name; `None` if nothing was, or [`InputValue::None`].
    ///
    /// # Errors
    /// If something else was given.
    pub fn tensor(&self, name: &str) -> Result<Option<&Tensor>> {
        match self.0.get(name) {
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
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<N: Into<String>, V: Into<InputValue>> FromIterator<(N, V)> for Keywords {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(values: I) -> Self {
        Self(values.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
