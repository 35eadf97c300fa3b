//! Each parameter has the name and shape that transformers gives it, in memory and in checkpoints.

use std::collections::BTreeMap;

use autopipe_splitter::{HfModel, HfNesting, Role, hf_model};
use serde_json::Value;

use super::files;

type Shapes = BTreeMap<String, Vec<usize>>;

/// What is recorded under `key`, with an output head that is the embedding or without.
fn recorded(file: &Value, key: &str) -> Option<Shapes> {
    file.get(key).map(|table| serde_json::from_value(table.clone()).unwrap())
}

/// The parameters of a model; where transformers leaves tied ones out, only those of their own.
fn ours(model: &HfModel, with_shared: bool) -> Shapes {
    let parameters = model.graph.modules().flat_map(|module| &module.parameters);
    parameters
        .filter(|parameter| with_shared || parameter.shared_with.is_none())
        .map(|parameter| (parameter.name.clone(), parameter.shape.clone()))
        .collect()
}

#[test]
fn checkpoints_have_these_names_and_shapes() {
    let files = files();
    assert!(files.len() > 30, "{}", files.len());
    for (name, file) in files {
        let model = hf_model(&file["config"], HfNesting::Checkpoint)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let recorded = recorded(&file, "checkpoint").unwrap();
        similar(&name, &ours(&model, false), &recorded);
        let has_shared = ours(&model, true).len() > recorded.len();
        assert_eq!(model.is_tied, has_shared, "{name}");
    }
}

#[test]
fn modules_have_these_names_and_shapes() {
    let mut num_checked = 0;
    for (name, file) in files() {
        let Some(recorded) = recorded(&file, "modules") else { continue };
        let model = hf_model(&file["config"], HfNesting::Modules).unwrap();
        similar(&name, &ours(&model, true), &recorded);
        num_checked += 1;
    }
    assert!(num_checked > 15, "{num_checked}");
}

/// Registration order is that of the checkpoint's modules in memory.
#[test]
fn the_text_stands_in_the_order_of_registration() {
    for name in ["llama", "llama_bias", "mistral", "qwen2", "gemma2", "gemma3_text", "glm4"] {
        let file = files().into_iter().find(|(file, _)| file == name).unwrap().1;
        let recorded: Vec<_> = file["modules"].as_object().unwrap().keys().cloned().collect();
        let model = hf_model(&file["config"], HfNesting::Modules).unwrap();
        let parameters = model.graph.modules().flat_map(|module| &module.parameters);
        let ours: Vec<_> = parameters.map(|parameter| parameter.name.clone()).collect();
        assert_eq!(ours, recorded, "{name}");
    }
}

#[test]
fn all_that_is_named_lies_within_its_module() {
    for (name, file) in files() {
        for nesting in [HfNesting::Modules, HfNesting::Checkpoint] {
            let model = hf_model(&file["config"], nesting).unwrap();
            assert_eq!(model.graph.num_layers(), model.num_layers, "{name}");
            for module in model.graph.modules() {
                for parameter in &module.parameters {
                    let inner = parameter.name.strip_prefix(&module.name).unwrap();
                    let inner = inner.strip_prefix('.').unwrap();
                    let is_listed = match inner.rsplit_once('.') {
                        None => true,
                        Some((part, _)) => module.submodules.iter().any(|known| known == part),
                    };
                    assert!(is_listed, "{name}: {}", parameter.name);
                }
                assert_eq!(module.role == Role::Layer, module.name.contains("layers."), "{name}");
            }
        }
    }
}

fn similar(name: &str, ours: &Shapes, recorded: &Shapes) {
    let differing = |a: &Shapes, b: &Shapes| -> Vec<String> {
        let differs = |entry: &(&String, &Vec<usize>)| b.get(entry.0) != Some(entry.1);
        a.iter().filter(differs).map(|(name, shape)| format!("{name} {shape:?}")).collect()
    };
    let (only_ours, only_recorded) = (differing(ours, recorded), differing(recorded, ours));
    assert!(
        only_ours.is_empty() && only_recorded.is_empty(),
        "{name}: ours {only_ours:#?}, recorded {only_recorded:#?}"
    );
}
