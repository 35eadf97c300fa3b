//! What is saved is what was there, bit by bit, and transformers' layout.

use std::fs;
use std::path::Path;

use autopipe_models::checkpoint::save::{Content, Writing, begin, commit, finish, write_shard};
use autopipe_models::{AutoModel, Options, load_folder, load_folder_with};
use candle_core::{DType, Tensor};
use serde_json::Value;

use crate::fixture::{build, flat, llama, modules, path, tensors};

/// Saves `model` as `num_shards` ranks would.
fn save(model: &AutoModel, num_shards: usize, folder: &Path) {
    save_content(model, Content::Model, num_shards, folder);
}

pub(crate) fn save_content(model: &AutoModel, content: Content, num_shards: usize, folder: &Path) {
    let partial = begin(folder).unwrap();
    let writing = Writing { folder: &partial, model, content, num_shards };
    let modules = modules(model.as_model());
    for index in 0..num_shards {
        let cut = |index| modules.len() * index / num_shards;
        let stage = build(model.as_model(), &modules[cut(index)..cut(index + 1)]);
        write_shard(&writing, index, &[stage.parameters()]).unwrap();
    }
    finish(&writing).unwrap();
    commit(&partial, folder).unwrap();
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn one_shard_is_the_file_that_transformers_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("step-1");
    save(&llama(), 1, &folder);
    assert_eq!(files(&folder), ["config.json", "generation_config.json", "model.safetensors"]);
    let file = "model.safetensors";
    assert!(
        fs::read(folder.join(file)).unwrap() == fs::read(path(file)).unwrap(),
        "{file} differs"
    );
    let file = "generation_config.json";
    assert_eq!(json(&folder.join(file)), json(&path(file)));
}

#[test]
fn halves_come_back_bit_by_bit() {
    let dir = tempfile::tempdir().unwrap();
    let file = "model.safetensors";
    let given = path("../llama_bf16");
    for dtype in [DType::BF16, DType::F16] {
        let saved = |from: &Path, to: &str| {
            let options = Options { dtype, ..Options::default() };
            let to = dir.path().join(dtype.as_str()).join(to);
            save(&load_folder_with(from, options).unwrap(), 1, &to);
            to
        };
        let once = saved(&given, "once");
        let twice = saved(&once, "twice");
        let bytes = |folder: &Path| fs::read(folder.join(file)).unwrap();
        assert!(bytes(&once) == bytes(&twice), "{dtype:?} differs");
        if dtype == DType::BF16 {
            assert!(bytes(&once) == bytes(&given), "what transformers has written differs");
        }
        let name = if dtype == DType::BF16 { "bfloat16" } else { "float16" };
        assert_eq!(json(&twice.join("config.json"))["dtype"], name);
    }
}

#[test]
fn the_tokenizer_goes_along() {
    let dir = tempfile::tempdir().unwrap();
    let given = dir.path().join("given");
    fs::create_dir(&given).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(path(file), given.join(file)).unwrap();
    }
    let tokenizer = ["chat_template.jinja", "merges.txt", "tokenizer.json", "vocab.json"];
    for file in tokenizer {
        fs::write(given.join(file), file).unwrap();
    }
    fs::write(given.join("notes.txt"), "of no concern").unwrap();
    let folder = dir.path().join("step-1");
    save(&load_folder(&given).unwrap(), 2, &folder);
    for file in tokenizer {
        assert_eq!(fs::read_to_string(folder.join(file)).unwrap(), file);
    }
    assert!(!folder.join("notes.txt").exists());
}

#[test]
fn the_config_keeps_all_that_was_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("step-1");
    save(&llama(), 1, &folder);
    let (saved, original) = (json(&folder.join("config.json")), json(&path("config.json")));
    for (key, value) in original.as_object().unwrap() {
        assert_eq!(&saved[key], value, "{key}");
    }
    // The spellings that only transformers 4 knows.
    assert_eq!(
        (&saved["rope_theta"], &saved["torch_dtype"]),
        (&Value::from(10_000.0), &Value::from("float32"))
    );
}

#[test]
fn several_shards_come_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("step-1");
    let model = llama();
    save(&model, 3, &folder);
    assert_eq!(
        files(&folder),
        [
            "config.json",
            "generation_config.json",
            "model-00001-of-00003.safetensors",
            "model-00002-of-00003.safetensors",
            "model-00003-of-00003.safetensors",
            "model.safetensors.index.json",
        ]
    );
    let index = json(&folder.join("model.safetensors.index.json"));
    assert_eq!(
        index["metadata"]["total_size"],
        index["metadata"]["total_parameters"].as_u64().unwrap() * 4
    );
    assert_eq!(index["weight_map"]["lm_head.weight"], "model-00003-of-00003.safetensors");

    let loaded = load_folder(&folder).unwrap();
    let modules = modules(model.as_model());
    let (before, after) = (build(model.as_model(), &modules), build(loaded.as_model(), &modules));
    assert_eq!(before.parameters().len(), 39);
    for parameter in before.parameters() {
        let again = after.parameters().get(parameter.name()).unwrap();
        assert_eq!(flat(parameter.value()), flat(again.value()), "{}", parameter.name());
    }
}

#[test]
fn what_would_not_load_is_not_finished() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("step-1");
    let model = llama();
    save(&model, 1, &folder);
    let partial = begin(&folder).unwrap();
    let half = build(model.as_model(), &modules(model.as_model())[..3]);
    let content = Content::Model;
    let writing = Writing { folder: &partial, model: &model, content, num_shards: 2 };
    write_shard(&writing, 0, &[half.parameters()]).unwrap();
    let message = finish(&writing).unwrap_err().to_string();
    assert!(message.contains("model-00002-of-00002.safetensors cannot be read"), "{message}");
    write_shard(&writing, 1, &[half.parameters()]).unwrap();
    let message = finish(&writing).unwrap_err().to_string();
    let twice = "tensor `model.embed_tokens.weight` is in model-00001-of-00002.safetensors and again in model-00002";
    assert!(message.contains(twice), "{message}");
    assert!(load_folder(&folder).is_ok(), "the former checkpoint is untouched");
}

#[test]
fn a_stage_cannot_be_saved_twice_or_as_a_shard_beyond_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let model = llama();
    let stage = build(model.as_model(), &["model.norm".to_owned()]);
    let content = Content::Model;
    let writing = Writing { folder: dir.path(), model: &model, content, num_shards: 2 };
    let message =
        |index, parameters: &[_]| write_shard(&writing, index, parameters).unwrap_err().to_string();
    assert_eq!(
        message(2, &[stage.parameters()]),
        "shard 2 is none of 2; shards are counted from 0"
    );
    assert_eq!(
        message(0, &[stage.parameters(), stage.parameters()]),
        "the parameter `model.norm.weight` is on two stages of this rank"
    );
    assert!(files(dir.path()).is_empty(), "nothing is written");
}

#[test]
fn numbers_that_are_none_are_found_on_request() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(path("config.json"), dir.path().join("config.json")).unwrap();
    let message = |number: f32, dtype, check_finite| {
        let mut tensors = tensors(&path("model.safetensors"));
        let mut norm = vec![1f32; 64];
        norm[5] = number;
        let norm = Tensor::new(norm, &candle_core::Device::Cpu).unwrap();
        tensors.insert("model.norm.weight".to_owned(), norm);
        safetensors::serialize_to_file(&tensors, None, &dir.path().join("model.safetensors"))
            .unwrap();
        let options = Options { dtype, check_finite, ..Options::default() };
        let model = load_folder_with(dir.path(), options).unwrap();
        let names = ["model.norm".to_owned()];
        let stage = model.as_model().build_stage(&names, &candle_core::Device::Cpu);
        stage.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let found = "tensor `model.norm.weight` in model.safetensors is";
    let nan = message(f32::NAN, DType::F32, true);
    assert!(nan.contains(&format!("{found} NaN at [5], and no training can begin so")), "{nan}");
    let large = message(70_000.0, DType::F16, true);
    assert!(large.contains(&format!("{found} inf as f16 at [5]")), "{large}");
    assert_eq!(message(70_000.0, DType::F32, true), "");
    assert_eq!(message(f32::NAN, DType::F32, false), "");
}
