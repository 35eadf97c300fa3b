//! As much of JSON Schema as the schema of a recipe uses.

use serde_json::Value;

/// What of a value the schema does not allow, each with its place.
pub(crate) fn violations(value: &Value, schema: &Value, root: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, argument) in schema.as_object().unwrap() {
        let is_met = match keyword.as_str() {
            "$ref" => {
                let pointer = argument.as_str().unwrap().strip_prefix('#').unwrap();
                let target = root.pointer(pointer).unwrap();
                violations(value, target, root, path).is_empty()
            }
            "anyOf" => {
                let schemas = argument.as_array().unwrap();
                let any = schemas.iter().find(|s| violations(value, s, root, path).is_empty());
                any.is_some()
            }
            "enum" => argument.as_array().unwrap().iter().any(|one| same(one, value)),
            "const" => same(argument, value),
            "type" => is_of_type(value, argument.as_str().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| !text.is_empty()),
            "minimum" => value.as_f64().is_none_or(|v| v >= argument.as_f64().unwrap()),
            "exclusiveMinimum" => value.as_f64().is_none_or(|v| v > argument.as_f64().unwrap()),
            "exclusiveMaximum" => value.as_f64().is_none_or(|v| v < argument.as_f64().unwrap()),
            "minItems" => len(value).is_none_or(|len| len >= argument.as_u64().unwrap()),
            "maxItems" => len(value).is_none_or(|len| len <= argument.as_u64().unwrap()),
            "items" => {
                let items = value.as_array().into_iter().flatten();
                items.for_each(|item| found.extend(violations(item, argument, root, path)));
                true
            }
            "required" => {
                let keys = argument.as_array().unwrap();
                let has = |key: &Value| value.get(key.as_str().unwrap()).is_some();
                !value.is_object() || keys.iter().all(has)
            }
            "properties" => {
                for (key, schema) in argument.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        found.extend(violations(value, schema, root, &format!("{path}.{key}")));
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object().unwrap();
                let keys = value.as_object().into_iter().flatten().map(|(key, _)| key);
                argument == true || keys.clone().all(|key| known.contains_key(key))
            }
            "$schema" | "$defs" | "title" | "description" | "default" => true,
            other => panic!("the validator does not know `{other}`"),
        };
        if !is_met {
            found.push(format!("{path}: {keyword}"));
        }
    }
    found
}

fn len(value: &Value) -> Option<u64> {
    value.as_array().map(|items| items.len() as u64)
}

/// Numbers are the same whichever way they are written.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b).is_eq(),
        _ => a == b,
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("the validator does not know the type `{other}`"),
    }
}
