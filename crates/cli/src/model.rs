//! A model's config as the command line names it.

use std::path::Path;

use anyhow::Context as _;
use autopipe_config::ModelSource;
use serde_json::Value;

use crate::hub;

/// The content of a `config.json`, of which the folder may be given.
///
/// # Errors
/// If it cannot be read, or is no JSON.
pub(crate) fn read_config(path: &Path) -> anyhow::Result<Value> {
    let file = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
    // Reading a pipe or a device might never end.
    let metadata = std::fs::metadata(&file);
    let text = metadata.and_then(|metadata| match metadata.is_file() {
        true => std::fs::read(&file),
        false => Err(std::io::Error::other("it is not a regular file")),
    });
    let text = text.with_context(|| format!("cannot read `{}`", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("`{}` is no JSON", file.display()))
}

/// A folder as it is, or that of a model on the Hub; a file is a config alone.
///
/// # Errors
/// If a model cannot be had, a file cannot be read or is no JSON, or the path is not in UTF-8.
pub(crate) fn model_source(path: &Path) -> anyhow::Result<ModelSource> {
    let path = &hub::resolve(path)?;
    if !path.is_dir() {
        return Ok(ModelSource::Scratch { config: read_config(path)? });
    }
    let folder = path.to_str().with_context(|| {
        format!("the path {} is not in UTF-8; rename the folder", path.display())
    })?;
    Ok(ModelSource::Pretrained { folder: folder.to_owned() })
}
