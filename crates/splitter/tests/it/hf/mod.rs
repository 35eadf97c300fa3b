//! Graphs of Hugging Face's models, held to what transformers writes and what is published.

mod costs; // operations and bytes are what counting by hand gives
mod counts; // parameters are as many as published, and as transformers has by default
mod fuzz; // any config gives a graph or a refusal
mod fuzz_bodies;
mod layouts; // names and shapes equal those of transformers
mod names; // where modules stand, and how they are split
mod refusals; // what is wrong is said, all of it at once

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The recorded layouts, each by its name.
fn files() -> Vec<(String, Value)> {
    let entries =
        std::fs::read_dir(folder().join("layouts")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        })
        .collect();
    files.sort_by(|(a, _), (b, _): &(String, Value)| a.cmp(b));
    files
}

/// Each published model with its config and how many parameters it has, by its name.
fn published() -> Vec<(String, Value)> {
    let text = std::fs::read(folder().join("published.json")).unwrap();
    let json: Value = serde_json::from_slice(&text).unwrap();
    json.as_object().unwrap().clone().into_iter().collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hf")
}
