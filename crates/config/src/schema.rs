//! The JSON schema of a recipe, for editors: what the reader asks for when there is nothing to read.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::{Map, Value, json};

use crate::{
    document::{NONE, Node, Place, Value as Read, join},
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
/// let size = &schema["properties"]["step_scheduler"]["properties"]["global_batch_size"];
/// assert_eq!(size["minimum"], 1);
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

/// The section of a key, the empty one at the top; nothing for a key that none has, or several.
pub(crate) fn section_of(key: &str) -> Option<&'static str> {
    static SECTIONS: LazyLock<BTreeMap<String, Option<String>>> = LazyLock::new(|| {
        let mut sections = BTreeMap::new();
        add_keys(&schema(), "", &mut sections);
        sections
    });
    SECTIONS.get(key)?.as_deref()
}

fn add_keys(schema: &Value, section: &str, sections: &mut BTreeMap<String, Option<String>>) {
    for choice in schema["anyOf"].as_array().into_iter().flatten() {
        add_keys(choice, section, sections);
    }
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        let own = Some(section.to_owned());
        let known = sections.entry(key.clone()).or_insert_with(|| own.clone());
        if *known != own {
            *known = None;
        }
        add_keys(schema, &join(section, key), sections);
    }
}
