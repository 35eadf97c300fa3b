//! The rotary embedding's fields, which transformers 4 and 5 spell differently.

use serde_json::{Map, Value};

use crate::config::{ConfigProblem, Fields};

/// The base of the frequencies, from `rope_theta` (transformers 4) or `rope_parameters`
/// (transformers 5). Anything but the plain rotation is reported.
pub(super) fn theta(fields: &mut Fields, default: f64) -> f64 {
    let flat =
        fields.take_optional("rope_theta").and_then(|value| number(fields, "rope_theta", &value));
    let scaling = table(fields, "rope_scaling", "rope_scaling.rope_theta");
    let parameters = table(fields, "rope_parameters", "rope_parameters.rope_theta");
    let mut given =
        [flat.map(|theta| ("rope_theta", theta)), scaling, parameters].into_iter().flatten();
    let Some((first, theta)) = given.next() else { return default };
    for (second, other) in given {
        if other != theta {
            fields.report(ConfigProblem::Disagreement {
                first,
                first_value: theta,
                second,
                second_value: other,
            });
        }
    }
    theta
}

/// The theta inside of one of the two tables.
fn table(
    fields: &mut Fields,
    key: &'static str,
    theta_key: &'static str,
) -> Option<(&'static str, f64)> {
    let table = match fields.take_optional(key)? {
        Value::Object(table) => table,
        other => {
            let (key, value) = (key.to_owned(), other.to_string());
            fields.report(ConfigProblem::Type { key, value, expected: "an object or null" });
            return None;
        }
    };
    let theta = table.get("rope_theta").and_then(|value| number(fields, theta_key, value));
    for (name, value) in &table {
        if !is_neutral(&table, name, value) {
            fields.report(ConfigProblem::Unsupported {
                key: format!("{key}.{name}"),
                value: value.to_string(),
                supported: "a `rope_type` of \"default\", with `rope_theta` and no scaling",
            });
        }
    }
    theta.map(|theta| (theta_key, theta))
}

/// Whether one entry of a table leaves the plain rotation as it is.
fn is_neutral(table: &Map<String, Value>, name: &str, value: &Value) -> bool {
    match name {
        // Early writers said `type`, and some wrote both.
        "rope_type" | "type" => value.is_null() || value == "default",
        "rope_theta" => true,
        "partial_rotary_factor" | "factor" => value.is_null() || value.as_f64() == Some(1.0),
        // What belongs to a scaling is reported with its type, once.
        _ => ["rope_type", "type"]
            .iter()
            .any(|key| table.get(*key).is_some_and(|kind| kind != "default")),
    }
}

fn number(fields: &mut Fields, key: &'static str, value: &Value) -> Option<f64> {
    let number = value.as_f64();
    if number.is_none() {
        let (key, value) = (key.to_owned(), value.to_string());
        fields.report(ConfigProblem::Type { key, value, expected: "a number" });
    }
    number
}
