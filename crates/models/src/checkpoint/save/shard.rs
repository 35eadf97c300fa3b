//! One rank's part of a checkpoint: a safetensors file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use autopipe_nn::{Parameter, Parameters};
use safetensors::tensor::{Metadata, TensorInfo};

use super::merge::merged;
use super::{Content, Writing};
use crate::checkpoint::SINGLE_FILE;
use crate::decoder::Planned;
use crate::lora::{ADAPTER_FILE, saved_name};
use crate::{AutoModel, Error};

/// The file of shard `index`, counted from 0: `model-00001-of-00004.safetensors` is the first of
/// four, `model.safetensors` the only one.
pub(super) fn file_name(content: Content, index: usize, num_shards: usize) -> String {
    let single = match content {
        Content::Model => SINGLE_FILE,
        Content::Adapter => ADAPTER_FILE,
    };
    match (num_shards, single.split_once('.')) {
        (1, _) | (_, None) => single.to_owned(),
        (_, Some((stem, end))) => format!("{stem}-{:05}-of-{num_shards:05}.{end}", index + 1),
    }
}

/// Writes what is to be saved of the parameters of one rank's stages as shard `index`, counted from
/// 0, bit by bit as they are, and waits until it is on disk.
///
/// Of parameters that stages share, only the owner's copy is written. Holds one tensor in memory
/// beyond the parameters; where adapters are merged, one matrix more.
///
/// # Errors
/// If `index` is not below the number of shards, a name occurs twice, there are no adapters where
/// they are to be saved, or a file cannot be written.
pub fn write_shard(
    writing: &Writing<'_>,
    index: usize,
    parameters: &[&Parameters],
) -> Result<(), Error> {
    let &Writing { folder, model, content, num_shards } = writing;
    if index >= num_shards {
        return Err(Error::Shard { index, num_shards });
    }
    let path = folder.join(file_name(content, index, num_shards));
    let saved = saved(model, content, parameters)?;
    let header = header(&saved, &path)?;

    let failed = |source| Error::Write { path: path.clone(), source };
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(failed)?);
    file.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
    file.write_all(&header).map_err(failed)?;
    for Saved { parameter, stage, .. } in saved {
        let write = |file: &mut BufWriter<File>| match content {
            Content::Model => merged(model, parameter, stage)?.write_bytes(file),
            Content::Adapter => parameter.value().write_bytes(file),
        };
        write(&mut file)
            .map_err(|source| Error::Save { name: parameter.name().to_owned(), source })?;
    }
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

/// Whether [`write_shard`] reads the parameter of a name: of adapters, what is trained beside the frozen
/// model, and of a model everything, as adapters are merged. A rank that has parts of the others need
/// not put them together.
///
/// ```
/// use autopipe_models::checkpoint::save::{Content, is_read};
/// use autopipe_models::from_config;
///
/// let config = serde_json::json!({
///     "model_type": "llama", "vocab_size": 8, "hidden_size": 4, "intermediate_size": 4,
///     "num_hidden_layers": 1, "num_attention_heads": 1,
/// });
/// let model = from_config(&config, 1)?;
/// assert!(is_read(&model, Content::Model)("model.norm.weight"));
/// assert!(!is_read(&model, Content::Adapter)("model.norm.weight"));
/// # Ok::<(), autopipe_models::Error>(())
/// ```
pub fn is_read(model: &AutoModel, content: Content) -> impl Fn(&str) -> bool {
    let adapter: BTreeSet<String> = match content {
        Content::Model => BTreeSet::new(),
        Content::Adapter => model
            .decoder()
            .planned()
            .into_iter()
            .filter(|planned| planned.is_in_adapter)
            .map(|planned| planned.declared.name)
            .collect(),
    };
    move |name| content == Content::Model || adapter.contains(name)
}

/// A tensor to be written.
struct Saved<'a> {
    /// Its name in the file.
    name: String,
    parameter: &'a Parameter,
    /// The stage that it is on.
    stage: &'a Parameters,
}

/// What is to be written of some stages, by name.
fn saved<'a>(
    model: &AutoModel,
    content: Content,
    stages: &[&'a Parameters],
) -> Result<Vec<Saved<'a>>, Error> {
    if content == Content::Adapter && model.options().lora.is_none() {
        return Err(Error::NoAdapters);
    }
    let planned: BTreeMap<String, Planned> =
        model.decoder().planned().into_iter().map(|p| (p.declared.name.clone(), p)).collect();
    let is_saved = |name: &str| {
        planned.get(name).is_none_or(|planned| match content {
            Content::Model => planned.shared_with.is_none() && !planned.is_adapter,
            Content::Adapter => planned.is_in_adapter,
        })
    };
    let mut saved: Vec<Saved<'a>> = Vec::new();
    for &stage in stages {
        for parameter in stage.iter().filter(|parameter| is_saved(parameter.name())) {
            let name = match content {
                Content::Model => parameter.name().to_owned(),
                Content::Adapter => saved_name(parameter.name()),
            };
            saved.push(Saved { name, parameter, stage });
        }
    }
    saved.sort_by(|a, b| a.name.cmp(&b.name));
    match saved.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(Error::SavedTwice { name: pair[0].parameter.name().to_owned() }),
        None => Ok(saved),
    }
}

/// Names, dtypes, shapes and places, padded so that the data behind it is aligned.
fn header(saved: &[Saved<'_>], path: &Path) -> Result<Vec<u8>, Error> {
    let mut end = 0;
    let infos = saved.iter().map(|Saved { name, parameter, .. }| {
        let start = end;
        end += parameter.num_elements() * parameter.dtype().size_in_bytes();
        let info = TensorInfo {
            dtype: parameter.dtype().into(),
            shape: parameter.shape().dims().to_vec(),
            data_offsets: (start, end),
        };
        (name.clone(), info)
    });
    // transformers wants to be told whose tensors these are: torch's, in its layout.
    let format = [("format".to_owned(), "pt".to_owned())].into();
    let header = Metadata::new(Some(format), infos.collect());
    text(&header.map_err(|source| Error::Header { path: path.to_owned(), source })?, path)
}

/// A header as it is written, padded.
pub(super) fn text(header: &Metadata, path: &Path) -> Result<Vec<u8>, Error> {
    let mut text = serde_json::to_vec(header)
        .map_err(|source| Error::Json { path: path.to_owned(), source })?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok(text)
}
