//! The JSON schema of a recipe, for editors: what the reader asks for when there is nothing to read.

use serde_json::{Map, Value, json};

use crate::{
    document::{NONE, Node, Place, Value as Read},
    recipe,
    section::{Problems, Section},
};

/// The JSON schema (draft 2020-12) of a recipe: every key with its type, default and range or names.
///
/// It comes from the same declarations that a recipe is read with. What sections have to agree about
/// is not in it.
///
/// ```
/// let schema = autopipe_config::schema();
/// let lr = &schema["properties"]["optimizer"]["properties"]["lr"];
/// assert_eq!(lr["minimum"], 0);
/// ```
#[must_use]
pub fn schema() -> Value {
    let nothing = Node { place: Place::WHOLE, value: Read::Null };
    let problems = Problems::to_declare();
    // There is no recipe in nothing; what is missing is what there could be.
    let _ = Section::read_root(&nothing, &problems, recipe::read);
    let mut schema = Map::new();
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), "The recipe of a training run".into());
    if let Some(Value::Object(root)) = problems.into_schema() {
        schema.extend(root);
    }
    let none: Vec<Value> = [Value::Null].into_iter().chain(NONE.map(Value::from)).collect();
    let description = "As if the key were not there.";
    schema.insert("$defs".into(), json!({ "none": { "description": description, "enum": none } }));
    schema.into()
}
