//! What one rank writes for all: the index of the shards, and the configs.

use std::path::Path;

use safetensors::Dtype;
use serde_json::{Map, Value, json};

use super::shard::file_name;
use crate::checkpoint::file::WeightFile;
use crate::checkpoint::index::disagreements;
use crate::checkpoint::{CONFIG_FILE, GENERATION_FILE, INDEX_FILE};
use crate::{AutoModel, Checkpoint, Error, json};

/// Writes `config.json`, `generation_config.json` if `model` has one, and the index of the
/// `num_shards` files in `folder` if there are several; each file is on disk when this returns.
///
/// The shards have to be there. The result is opened and checked as for loading, so that what would
/// not load never takes the place of what does.
///
/// # Errors
/// If a shard or a parameter is missing or there twice, or a file cannot be written.
pub fn write_index_and_config(
    folder: &Path,
    model: &AutoModel,
    num_shards: usize,
) -> Result<(), Error> {
    let mut shards = Vec::new();
    let mut problems = Vec::new();
    for index in 0..num_shards {
        match WeightFile::open(folder, &file_name(index, num_shards)) {
            Ok(shard) => shards.push(shard),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(disagreements(&shards, None));
    if !problems.is_empty() {
        return Err(Error::Checkpoint { folder: folder.to_owned(), problems });
    }
    if num_shards > 1 {
        json::write(&folder.join(INDEX_FILE), &index(&shards))?;
    }
    json::write(&folder.join(CONFIG_FILE), &config(&shards, model))?;
    if let Some(generation) = model.generation_config() {
        json::write(&folder.join(GENERATION_FILE), generation)?;
    }
    model.check(&Checkpoint::open(folder)?)
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
