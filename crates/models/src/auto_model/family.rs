//! The families of models that there are, by the name that a config gives them.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::Error;
use crate::nearest::nearest;

/// A family of models: those that one implementation covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// `llama`.
    Llama,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Llama];

    /// What a config's `model_type` says.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
        }
    }

    /// The family that a config is of.
    pub(super) fn of(config: &Value) -> Result<Self, Error> {
        match config.get("model_type") {
            None | Some(Value::Null) => Err(Error::NoModelType { supported: supported() }),
            Some(Value::String(model_type)) => model_type.parse(),
            Some(other) => other.to_string().parse(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Family {
    type Err = Error;

    fn from_str(model_type: &str) -> Result<Self, Error> {
        let names = || Self::ALL.into_iter().map(Self::name);
        Self::ALL.into_iter().find(|family| family.name() == model_type).ok_or_else(|| {
            Error::UnknownFamily {
                model_type: model_type.to_owned(),
                nearest: nearest(model_type, names()).map(str::to_owned),
                supported: supported(),
            }
        })
    }
}

fn supported() -> String {
    Family::ALL.map(Family::name).join(", ")
}
