//! The schema says what the reader does: each key, and at the edges of what it may be.

use autopipe_config::{Recipe, schema};
use serde_json::{Value, json};

use crate::{FULL, NEMO, SMALL, validator::violations};

#[test]
fn the_copy_for_editors_is_the_schema() {
    let copy = include_str!("../../../../docs/recipe.schema.json");
    let renew = "cargo run -q -p autopipe-config --example schema > docs/recipe.schema.json";
    assert!(copy == format!("{:#}\n", schema()), "the copy is old; renew it with\n{renew}");
}

/// Calls `check` with every key of the schema: its dotted path and what is said about it.
pub(crate) fn walk(schema: &Value, path: &str, check: &mut impl FnMut(&str, &Value)) {
    for schema in schema["anyOf"].as_array().into_iter().flatten() {
        walk(schema, path, check);
    }
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        check(&path, schema);
        walk(schema, &path, check);
    }
}

/// What the reader says to a recipe in which one key has this value, but for what it says anyway.
fn said(base: &str, path: &str, value: &Value) -> Vec<String> {
    match Recipe::parse_with(base, "recipe.yaml", &[format!("{path}={value}")]) {
        Ok(_) => Vec::new(),
        Err(errors) => {
            errors.problems().iter().map(|p| format!("{}: {}", p.key, p.message)).collect()
        }
    }
}

/// A recipe in which the key at `path` can be set: some exclude each other, and some values have to
/// agree with others.
fn base(path: &str) -> String {
    let mut text = SMALL.replace("pipeline:", "pipeline: { layers_per_stage: 2 }");
    if path.starts_with("distributed.pipeline.pp_schedule_csv")
        || path.starts_with("distributed.pipeline.module_fqns")
    {
        text = SMALL.into();
    }
    if path.starts_with("model.config") || path == "model._target_" {
        text = text.replace("pretrained_model_name_or_path: models/tiny", "load_base_model:");
    }
    if path == "model.config.pretrained_model_name_or_path" {
        text = text.replace(
            "load_base_model:",
            "config: { _target_: transformers.AutoConfig.from_pretrained }",
        );
    }
    if path.starts_with("loss_fn.") {
        text +=
            "loss_fn: { _target_: nemo_automodel.components.loss.masked_ce.MaskedCrossEntropy }\n";
    }
    if path == "lr_scheduler.min_lr" {
        text += "lr_scheduler: { lr_decay_style: linear }\n";
    }
    text
}

/// Values that the schema of a key allows, each in its own way, and some that it does not.
fn samples(schema: &Value) -> (Vec<Value>, Vec<Value>) {
    let (mut allowed, mut refused) = (Vec::new(), Vec::new());
    for one in schema["anyOf"].as_array().into_iter().flatten() {
        let (more, _) = samples(one);
        allowed.extend(more);
    }
    if let Some(default) = schema.get("default") {
        allowed.push(default.clone());
    }
    for one in schema["enum"].as_array().into_iter().flatten() {
        allowed.push(one.clone());
    }
    if schema.get("$ref").is_some() {
        allowed.extend([json!(null), json!("none"), json!("None")]);
    }
    match schema["type"].as_str() {
        Some("integer") => allowed.push(schema["minimum"].clone()),
        Some("number") if schema.get("exclusiveMinimum").is_some() => allowed.push(json!(1e-9)),
        Some("number") => allowed.push(schema["minimum"].clone()),
        Some("boolean") => allowed.extend([json!(true), json!(false)]),
        Some("string") => allowed.push(json!("x")),
        Some("array") => {
            let (items, _) = samples(&schema["items"]);
            let len = usize::try_from(schema["minItems"].as_u64().unwrap()).unwrap();
            // Of sections an empty one lacks what it needs, which is tested where they are read.
            allowed.extend(items.first().map(|item| vec![item.clone(); len].into()));
        }
        Some("object") | None => {}
        Some(other) => panic!("{other}"),
    }
    for value in [
        json!("n o t h i n g"),
        json!(-1),
        json!(0),
        json!(1),
        json!(1.5),
        json!([]),
        json!([1]),
        json!(true),
        json!(""),
    ] {
        refused.push(value);
    }
    (allowed, refused)
}

#[test]
fn what_the_schema_allows_the_reader_accepts_and_nothing_else() {
    let schema = schema();
    let mut num_keys = 0;
    walk(&schema, "", &mut |path, key| {
        num_keys += 1;
        let base = base(path);
        let (allowed, others) = samples(key);
        // What has to agree with another key is not for the schema to say: it is allowed by type.
        let agrees = |said: &[String]| {
            said.iter().all(|said| AGREE.iter().any(|words| said.contains(words)))
        };
        for value in allowed.iter().chain(&others) {
            let is_allowed = violations(value, key, &schema, path).is_empty();
            let said = said(&base, path, value);
            assert_eq!(is_allowed, agrees(&said), "{path}={value}: {said:?}");
        }
    });
    assert!(num_keys > 100, "{num_keys}");
}

/// What is said of a value that would do by itself.
const AGREE: &[&str] = &[
    "there is nothing to do",
    "there is nothing to evaluate on",
    "has no effect",
    "has no such constant",
    "needs a momentum",
    "differs from",
    "contradicts",
    "is not a multiple of",
    "not a whole number of microbatches",
    "has no effect",
    "does not end within",
    "needs a section `pipeline`",
    "is greater than `optimizer.lr`",
    "missing, and there is no default",
    "nothing says",
    "`from_pretrained` reads weights",
    "either read from a folder or random",
    "a folder is only read with",
    "either `pp_schedule` or",
];

#[test]
fn a_key_that_the_schema_does_not_have_is_refused() {
    let schema = schema();
    let mut closed = vec![String::new()];
    walk(&schema, "", &mut |path, key| {
        let objects = key["anyOf"].as_array().cloned().unwrap_or_else(|| vec![key.clone()]);
        let is_closed = |s: &Value| s["type"] == "object" && s["additionalProperties"] == false;
        if objects.iter().any(is_closed) {
            closed.push(format!("{path}."));
        }
    });
    assert!(closed.len() > 12, "{closed:?}");
    for section in closed {
        let said = said(&base(&section), &format!("{section}no_such_key"), &json!(1));
        let unknown = format!("{section}no_such_key: unknown key");
        assert!(said.iter().any(|said| said.starts_with(&unknown)), "{said:?}");
    }
}

#[test]
fn every_key_is_described() {
    walk(&schema(), "", &mut |path, key| {
        let description = key["description"].as_str().unwrap_or_default();
        assert!(!description.is_empty() && !description.contains("[`"), "{path}: {description:?}");
    });
}

/// The recipe as JSON, which its texts are but for comments and style.
fn as_json(text: &str) -> Value {
    // `model.config` takes any object: it is the way to have a whole recipe read as JSON.
    let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
    let around = SMALL
        .replace("  pretrained_model_name_or_path: models/tiny", &format!("  config:\n{indented}"));
    let recipe = Recipe::parse(&around, "recipe.yaml").unwrap_or_else(|errors| panic!("{errors}"));
    let autopipe_config::ModelSource::Scratch { config } = recipe.model.source else { panic!() };
    config
}

#[test]
fn recipes_that_are_read_fit_the_schema() {
    let schema = schema();
    for text in [SMALL, FULL, NEMO] {
        let found = violations(&as_json(text), &schema, &schema, "");
        assert_eq!(found, [] as [&str; 0], "{text}");
    }
    let wrong = as_json(&SMALL.replace("seq_len: 32", "seq_length: 0"));
    let found = violations(&wrong, &schema, &schema, "");
    assert_eq!(found, [".dataset: required", ".dataset: additionalProperties"]);
}
