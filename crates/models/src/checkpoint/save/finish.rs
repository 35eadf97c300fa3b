//! What one rank writes for all: the index of the shards, the configs and the tokenizer.

use std::fs;
use std::path::Path;

use safetensors::Dtype;
use serde_json::{Map, Value, json};

use super::shard::file_name;
use super::{Content, Writing, adapter};
use crate::checkpoint::file::WeightFile;
use crate::checkpoint::index::disagreements;
use crate::checkpoint::{CONFIG_FILE, GENERATION_FILE, INDEX_FILE, TOKENIZER_FILES};
use crate::{AutoModel, Checkpoint, Error, WeightSource, json};

/// Writes what belongs to the shards, which have to be there; each file is on disk when this returns.
///
/// Of a model these are `config.json`, `generation_config.json` and the files of the tokenizer if the
/// weights came with them, and the index if there are several shards. Of adapters it is the one file
/// that PEFT loads, made of those of the ranks, with `adapter_config.json`. The result is opened and
/// checked as for loading, so that what would not load never takes the place of what does.
///
/// # Errors
/// If a shard or a parameter is missing or there twice, or a file cannot be written.
pub fn finish(writing: &Writing<'_>) -> Result<(), Error> {
    let &Writing { folder, model, content, num_shards } = writing;
    let mut shards = Vec::new();
    let mut problems = Vec::new();
    for index in 0..num_shards {
        match WeightFile::open(folder, &file_name(content, index, num_shards)) {
            Ok(shard) => shards.push(shard),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(disagreements(&shards, None));
    if !problems.is_empty() {
        return Err(Error::Checkpoint { folder: folder.to_owned(), problems });
    }
    match content {
        Content::Model => finish_model(folder, model, &shards),
        Content::Adapter => adapter::finish(folder, model, &shards),
    }
}

fn finish_model(folder: &Path, model: &AutoModel, shards: &[WeightFile]) -> Result<(), Error> {
    if shards.len() > 1 {
        json::write(&folder.join(INDEX_FILE), &index(shards))?;
    }
    json::write(&folder.join(CONFIG_FILE), &config(shards, model))?;
    if let Some(generation) = model.generation_config() {
        json::write(&folder.join(GENERATION_FILE), generation)?;
    }
    if let WeightSource::Folder(checkpoint) = model.weights() {
        for file in TOKENIZER_FILES {
            copy(&checkpoint.folder().join(file), &folder.join(file))?;
        }
    }
    model.check(&Checkpoint::open(folder)?)
}

/// Copies a file, if it is there, and waits until it is on disk.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    if !from.exists() {
        return Ok(());
    }
    let content = fs::read(from).map_err(|source| Error::Read { path: from.to_owned(), source })?;
    json::write_bytes(to, &content)
}

fn index(shards: &[WeightFile]) -> Value {
    let mut weight_map = Map::new();
    let (mut total_size, mut total_parameters) = (0, 0);
    for shard in shards {
        for (name, info) in shard.tensors() {
            total_size += info.data_offsets.1 - info.data_offsets.0;
            total_parameters += info.shape.iter().product::<usize>();
            weight_map.insert(name, json!(shard.name()));
        }
    }
    weight_map.sort_keys();
    json!({
        "metadata": { "total_parameters": total_parameters, "total_size": total_size },
        "weight_map": weight_map,
    })
}

/// The model's config with the dtype that the weights are saved in, in both spellings.
fn config(shards: &[WeightFile], model: &AutoModel) -> Value {
    let mut config = model.config_json();
    let mut tensors = shards.iter().flat_map(WeightFile::tensors);
    if let (Value::Object(fields), Some((_, first))) = (&mut config, tensors.next()) {
        // A model is trained in one precision, so the first tensor speaks for all.
        for key in ["dtype", "torch_dtype"] {
            fields.insert(key.to_owned(), json!(torch_name(first.dtype)));
        }
        fields.sort_keys();
    }
    config
}

/// What torch calls a dtype that weights come in.
fn torch_name(dtype: Dtype) -> Option<&'static str> {
    match dtype {
        Dtype::F32 => Some("float32"),
        Dtype::BF16 => Some("bfloat16"),
        Dtype::F16 => Some("float16"),
        // Refused when the checkpoint is checked.
        _ => None,
    }
}
