//! The folders of what transformers has computed: a model, a batch, and what came of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use autopipe::{Batch, Model};
use autopipe_models::load_folder;
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

    /// All that have a model of their own, by name; those with an adapter only have none.
    pub(crate) fn all() -> Vec<Self> {
        let entries = fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path());
        let mut folders: Vec<PathBuf> =
            entries.filter(|folder| folder.join("config.json").exists()).collect();
        folders.sort();
        folders.into_iter().map(|folder| Self { folder }).collect()
    }

    pub(crate) fn name(&self) -> String {
        self.folder.file_name().unwrap().to_string_lossy().into_owned()
    }

    pub(crate) fn model(&self) -> Result<Box<dyn Model>> {
        Ok(load_folder(&self.folder)?.into_model())
    }

    /// Its batch, with a loss that is the mean over all labels that count.
    pub(crate) fn batch(&self) -> Batch {
        let tensors = self.tensors("batch.safetensors");
        let labels = &tensors["labels"];
        let num_labels = count_labels(labels).unwrap();
        Batch::new(tensors["input_ids"].clone(), labels.clone())
            .with_loss_scale(1.0 / num_labels as f64)
    }

    pub(crate) fn logits(&self) -> Tensor {
        self.tensors("reference.safetensors").remove("logits").unwrap()
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let text = fs::read_to_string(self.folder.join("reference.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let tensors = self.tensors("reference.safetensors").into_iter();
        let grads =
            tensors.filter_map(|(name, grad)| Some((name.strip_prefix("grad.")?.to_owned(), grad)));
        Outcome { loss: json["loss"].as_f64().unwrap(), grads: grads.collect() }
    }

    fn tensors(&self, file: &str) -> BTreeMap<String, Tensor> {
        let tensors = candle_core::safetensors::load(self.folder.join(file), &Device::Cpu);
        tensors.unwrap().into_iter().collect()
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/models/tests/fixtures")
}
