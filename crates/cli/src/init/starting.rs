//! What a run begins with: saved weights, or a config and random ones.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::draft::quoted;
use crate::hub;
use crate::model::read_config;

/// The section `model` of a recipe.
pub(super) struct Starting {
    pub(super) section: String,
    pub(super) has_weights: bool,
}

impl Starting {
    /// Of a folder with weights, with a config alone, or of a file that is one.
    ///
    /// # Errors
    /// If there is none of them.
    pub(super) fn of(path: &Path) -> anyhow::Result<Self> {
        let folder = hub::resolve(path)?;
        if !folder.is_dir() {
            return Self::of_file(&folder);
        }
        // A folder without one is refused here.
        read_config(&folder)?;
        let names = names(&folder)?;
        if names.iter().any(|name| name.ends_with(".safetensors")) {
            // A name on the Hub stays one: the folder in the cache is this machine's.
            let section = format!("  pretrained_model_name_or_path: {}\n", quoted(path)?);
            return Ok(Self { section, has_weights: true });
        }
        if let Some(name) = names.iter().find(|name| name.starts_with("pytorch_model")) {
            bail!(
                "the weights in `{}` are in `{name}`, and only safetensors are read; save the model \
                 anew with transformers, or give its config.json for random weights",
                path.display()
            );
        }
        Self::like(path)
    }

    fn of_file(file: &Path) -> anyhow::Result<Self> {
        let config = read_config(file)?;
        if file.file_name().is_some_and(|name| name == "config.json") {
            let folder = file.parent().filter(|folder| *folder != Path::new(""));
            return Self::like(folder.unwrap_or(Path::new(".")));
        }
        // What is JSON is YAML.
        let config = serde_json::to_string_pretty(&config)?.replace('\n', "\n    ");
        let section = format!("  config: # random weights\n    {config}\n");
        Ok(Self { section, has_weights: false })
    }

    /// Random weights, by the config of a folder, whose tokenizer is then the model's.
    fn like(folder: &Path) -> anyhow::Result<Self> {
        let section = format!(
            "  config: # random weights; fields beside these two change the folder's\n    \
             _target_: transformers.AutoConfig.from_pretrained\n    \
             pretrained_model_name_or_path: {}\n",
            quoted(folder)?
        );
        Ok(Self { section, has_weights: false })
    }
}

/// The names in a folder that are text, in order.
fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let unreadable = || format!("cannot read `{}`", folder.display());
    let entries = fs::read_dir(folder).with_context(unreadable)?;
    let entries: Vec<_> = entries.collect::<Result<_, _>>().with_context(unreadable)?;
    let mut names: Vec<String> =
        entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}
