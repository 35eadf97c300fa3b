//! The section `clip_grad_norm`: how large gradients may be.

use serde_json::{Value as Json, json};

use crate::{
    document::{Node, Value},
    section::{Complaints, Kind, Positive, Reading, Section, section},
};

section! {
    /// How large gradients may be.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct ClipGradNorm {
        /// The largest norm of all gradients together, beyond which they are scaled down to it;
        /// without it they stay as they are.
        max_norm: Option<f64> = Positive.optional(),
        /// Which norm: `2`, the root of the sum of squares, or `inf`, the largest absolute value.
        norm_type: NormType = NormName.or(NormType::L2),
    }
}

/// A norm of all gradients together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub enum NormType {
    /// The root of the sum of squares.
    #[default]
    #[serde(rename = "2")]
    L2,
    /// The largest absolute value.
    #[serde(rename = "inf")]
    Infinity,
}

/// A norm by its number.
struct NormName;

impl Kind for NormName {
    type Value = NormType;

    fn read(&self, node: &Node) -> Reading<NormType> {
        match &node.value {
            Value::Integer(2) => Ok(NormType::L2),
            Value::Float(number) if number.total_cmp(&2.0).is_eq() => Ok(NormType::L2),
            Value::Float(number) if *number == f64::INFINITY => Ok(NormType::Infinity),
            Value::Text(name) if name == "2" => Ok(NormType::L2),
            Value::Text(name) if name == "inf" => Ok(NormType::Infinity),
            _ => Err(Complaints::expected("`2` or `inf`", node)),
        }
    }

    fn schema(&self) -> Json {
        json!({ "enum": [2, "2", "inf"] })
    }
}

impl Draft {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Draft::keys(section)
    }
}
