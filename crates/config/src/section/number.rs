//! Numbers: whole ones and those with a fraction, each with its range.

use serde_json::{Value as Json, json};

use super::{Complaints, Kind, Reading};
use crate::document::{Node, Value};

/// A whole number from 1.
pub(crate) struct Size;

/// A whole number from 0.
pub(crate) struct Natural;

/// A whole number from 0, whatever the machine's word.
pub(crate) struct Whole;

/// A number greater than 0.
pub(crate) struct Positive;

/// A number of at least 0.
pub(crate) struct NonNegative;

/// A number of at least 0 and less than 1.
pub(crate) struct Fraction;

impl Kind for Size {
    type Value = usize;

    fn read(&self, node: &Node) -> Reading<usize> {
        match Natural.read(node)? {
            0 => Err(Complaints::one(node, "0 is too small, the smallest is 1")),
            size => Ok(size),
        }
    }

    fn schema(&self) -> Json {
        json!({ "type": "integer", "minimum": 1 })
    }
}

impl Kind for Natural {
    type Value = usize;

    fn read(&self, node: &Node) -> Reading<usize> {
        usize::try_from(Whole.read(node)?)
            .map_err(|_| Complaints::one(node, format!("the largest number is {}", usize::MAX)))
    }

    fn schema(&self) -> Json {
        Whole.schema()
    }
}

impl Kind for Whole {
    type Value = u64;

    fn read(&self, node: &Node) -> Reading<u64> {
        match node.value {
            Value::Integer(number) => u64::try_from(number)
                .map_err(|_| Complaints::one(node, format!("{number} is negative"))),
            Value::Float(number) if number <= -FIRST_BEYOND_I64 => {
                Err(Complaints::one(node, format!("{number:e} is negative")))
            }
            Value::Float(number) if number >= FIRST_BEYOND_I64 => {
                Err(Complaints::one(node, format!("too large, the largest number is {}", i64::MAX)))
            }
            Value::Float(number) => {
                let complaints = Complaints::expected("a whole number", node);
                let is_whole = number.fract() == 0.0;
                Err(if is_whole { complaints.help(&format!("write {number}")) } else { complaints })
            }
            _ => Err(not_a_number("a whole number", node)),
        }
    }

    fn schema(&self) -> Json {
        json!({ "type": "integer", "minimum": 0 })
    }
}

/// 2 to the power of 63: YAML integers from here on are read as floating point.
const FIRST_BEYOND_I64: f64 = 9_223_372_036_854_775_808.0;

impl Kind for Positive {
    type Value = f64;

    fn read(&self, node: &Node) -> Reading<f64> {
        number(node, "greater than 0", |number| number > 0.0)
    }

    fn schema(&self) -> Json {
        json!({ "type": "number", "exclusiveMinimum": 0 })
    }
}

impl Kind for NonNegative {
    type Value = f64;

    fn read(&self, node: &Node) -> Reading<f64> {
        number(node, "0 or greater", |number| number >= 0.0)
    }

    fn schema(&self) -> Json {
        json!({ "type": "number", "minimum": 0 })
    }
}

impl Kind for Fraction {
    type Value = f64;

    fn read(&self, node: &Node) -> Reading<f64> {
        number(node, "at least 0 and less than 1", |number| (0.0..1.0).contains(&number))
    }

    fn schema(&self) -> Json {
        json!({ "type": "number", "minimum": 0, "exclusiveMaximum": 1 })
    }
}

fn number(node: &Node, range: &str, is_in_range: fn(f64) -> bool) -> Reading<f64> {
    let number = match node.value {
        #[expect(clippy::cast_precision_loss, reason = "a rate is no different at the 16th digit")]
        Value::Integer(number) => number as f64,
        Value::Float(number) => number,
        _ => return Err(not_a_number("a number", node)),
    };
    if is_in_range(number) && number.is_finite() {
        Ok(number)
    } else {
        Err(Complaints::one(node, format!("{number} is out of range, the number must be {range}")))
    }
}

/// A text that looks like a number says what makes it a text.
fn not_a_number(what: &str, node: &Node) -> Complaints {
    let complaints = Complaints::expected(what, node);
    let Value::Text(text) = &node.value else { return complaints };
    let is_number = |text: &str| text.parse().is_ok_and(f64::is_finite);
    if is_number(text) {
        complaints.help("remove the quotes")
    } else if text.contains('_') && is_number(&text.replace('_', "")) {
        complaints.help("remove every `_`")
    } else {
        complaints
    }
}
