//! A model's config as the command line names it.

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

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
