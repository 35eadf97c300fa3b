//! The folders of what transformers has computed: a model, a batch, and what came of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use autopipe::{Batch, Model};
use autopipe_models::{Lora, Options, load_folder, load_folder_with};
use autopipe_nn::count_labels;
use candle_core::{Device, Tensor};

use crate::pipeline::Outcome;

/// One folder.
pub(crate) struct Reference {
    folder: PathBuf,
}

impl Reference {
    pub(crate) fn named(name: &str) -> Self {
        Self { folder: fixtures().join(name) }
    }

    /// All of them, by name.
    pub(crate) fn all() -> Vec<Self> {
        let entries = fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path());
        let mut folders: Vec<PathBuf> =
            entries.filter(|folder| folder.join("reference.json").exists()).collect();
        folders.sort();
        folders.into_iter().map(|folder| Self { folder }).collect()
    }

    pub(crate) fn name(&self) -> String {
        self.folder.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// The model that an adapter is for, if this is an adapter.
    fn base(&self) -> Option<Self> {
        let text = fs::read_to_string(self.folder.join("adapter_config.json")).ok()?;
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        Some(Self::named(json["base_model_name_or_path"].as_str().unwrap()))
    }

    /// The model; with an adapter, the model that it is for and the adapter.
    pub(crate) fn model(&self) -> Result<Box<dyn Model>> {
        let Some(base) = self.base() else { return Ok(load_folder(&self.folder)?.into_model()) };
        let options = Options { lora: Some(Lora::load(&self.folder)?), ..Options::default() };
        Ok(load_folder_with(&base.folder, options)?.into_model())
    }

    /// Its batch, with a loss that is the mean over all labels that count.
    pub(crate) fn batch(&self) -> Batch {
        let tensors = self.base().as_ref().unwrap_or(self).tensors("batch.safetensors");
        let labels = &tensors["labels"];
        let num_labels = count_labels(labels).unwrap();
        Batch::new(tensors["input_ids"].clone(), labels.clone())
            .with_loss_scale(1.0 / num_labels as f64)
    }

    pub(crate) fn logits(&self) -> Tensor {
        self.tensors("reference.safetensors").remove("logits").unwrap()
    }

    /// The loss, and the gradients by what the parameters are called in the model.
    pub(crate) fn outcome(&self) -> Outcome {
        let text = fs::read_to_string(self.folder.join("reference.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let tensors = self.tensors("reference.safetensors").into_iter();
        let grads = tensors.filter_map(|(name, grad)| {
            let name = name.strip_prefix("grad.")?;
            // PEFT's names are those of its own model around the other.
            Some((name.strip_prefix("base_model.model.").unwrap_or(name).to_owned(), grad))
        });
        Outcome { loss: json["loss"].as_f64().unwrap(), grads: grads.collect() }
    }

    fn tensors(&self, file: &str) -> BTreeMap<String, Tensor> {
        let tensors = candle_core::safetensors::load(self.folder.join(file), &Device::Cpu);
        tensors.unwrap().into_iter().collect()
    }
}

fn fixtures() -> PathBuf {
    // Where this package is now: a binary may run elsewhere than where it was built.
    #[expect(clippy::disallowed_methods, reason = "cargo tells a test so where its package is")]
    let package = std::env::var_os("CARGO_MANIFEST_DIR");
    let package = package.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).join("../crates/models/tests/fixtures")
}
