//! The key `distributed.activation_checkpointing`: which layers are computed again for their backward.

use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use crate::{
    document::{Node, Value},
    section::{Complaints, Kind, Reading, Size},
};

/// Which layers keep only their input between forward and backward, and compute the rest again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ActivationCheckpointing {
    /// None: `false`.
    #[default]
    None,
    /// All: `true` or `full`.
    Full,
    /// Every so many, beginning with the first; at least 1.
    Every(usize),
}

/// The word for all layers.
const FULL: &str = "full";

impl Serialize for ActivationCheckpointing {
    /// As a recipe says it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_bool(false),
            Self::Full => serializer.serialize_str(FULL),
            Self::Every(layers) => layers.serialize(serializer),
        }
    }
}

/// A truth value, the word `full` or a number of layers.
pub(super) struct Layers;

impl Kind for Layers {
    type Value = ActivationCheckpointing;

    fn read(&self, node: &Node) -> Reading<ActivationCheckpointing> {
        match &node.value {
            Value::Bool(false) => Ok(ActivationCheckpointing::None),
            Value::Bool(true) => Ok(ActivationCheckpointing::Full),
            Value::Text(text) if text == FULL => Ok(ActivationCheckpointing::Full),
            Value::Integer(_) | Value::Float(_) => {
                Size.read(node).map(ActivationCheckpointing::Every)
            }
            _ => {
                let complaints = Complaints::expected("`true`, `false`, `full` or a number", node);
                Err(complaints.help("a number N recomputes every Nth layer"))
            }
        }
    }

    fn schema(&self) -> Json {
        json!({ "anyOf": [{ "type": "boolean" }, { "const": FULL }, Size.schema()] })
    }
}
