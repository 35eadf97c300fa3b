//! `AutoModel`: a model of whichever family its config names.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use autopipe_nn::TensorParallelGroup;
use autopipe_runtime::{BoxError, Model, StageModel};
use autopipe_splitter::ModuleGraph;
use candle_core::{DType, Device};
use serde_json::{Map, Value};

use crate::blocks::Ranks;
use crate::checkpoint::CONFIG_FILE;
use crate::decoder::Decoder;
use crate::{Checkpoint, Error, Family, Options, WeightSource, json};

/// A decoder with a language-model head, of any family, ready to be cut into stages.
#[derive(Clone, Debug)]
pub struct AutoModel {
    family: Family,
    /// Every field as it was understood, and those that change nothing.
    config: Map<String, Value>,
    decoder: Decoder,
    weights: WeightSource,
}

/// The model in a Hugging Face folder: `config.json` and safetensors, one file or shards; trained
/// whole and in float32.
///
/// The weights stay on disk until a stage is built; all headers are read and checked now.
///
/// # Errors
/// If a file cannot be read, the config asks for what is not implemented, or the weights do not fit
/// it. What is wrong with one of them is told all at once.
pub fn load_folder(folder: &Path) -> Result<AutoModel, Error> {
    load_folder_with(folder, Options::default())
}

/// As [`load_folder`], to be trained as `options` say.
///
/// # Errors
/// As [`load_folder`], and if the options ask for what the model does not have.
pub fn load_folder_with(folder: &Path, options: Options) -> Result<AutoModel, Error> {
    let config = read_config(folder)?;
    AutoModel::new(&config, options, || Checkpoint::open(folder).map(WeightSource::Folder))
}

/// The content of the `config.json` in a Hugging Face folder.
///
/// # Errors
/// If it cannot be read, or is no JSON.
pub fn read_config(folder: &Path) -> Result<Value, Error> {
    json::read(&folder.join(CONFIG_FILE))
}

/// The model that the content of a `config.json` describes, with random weights drawn from `seed`.
///
/// # Errors
/// Everything in `config` that is wrong or not implemented, all at once.
pub fn from_config(config: &Value, seed: u64) -> Result<AutoModel, Error> {
    from_config_with(config, seed, Options::default())
}

/// As [`from_config`], to be trained as `options` say.
///
/// # Errors
/// As [`from_config`], and if the options ask for what the model does not have.
pub fn from_config_with(config: &Value, seed: u64, options: Options) -> Result<AutoModel, Error> {
    AutoModel::new(config, options, || Ok(WeightSource::Random { seed }))
}

impl AutoModel {
    /// Looks for weights only when the config is known to be good.
    fn new(
        config: &Value,
        options: Options,
        weights: impl FnOnce() -> Result<WeightSource, Error>,
    ) -> Result<Self, Error> {
        let family = Family::of(config)?;
        let (shape, config) = family.describe(config)?;
        let decoder = Decoder::new(shape, options)?;
        let weights = weights()?;
        if let WeightSource::Folder(checkpoint) = &weights {
            decoder.check(checkpoint)?;
        }
        Ok(Self { family, config, decoder, weights })
    }

    /// Which family the model is of.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The model to build stages of.
    pub fn as_model(&self) -> &dyn Model {
        self
    }

    /// The model alone.
    pub fn into_model(self) -> Box<dyn Model> {
        Box::new(self)
    }

    /// How many token ids the model knows.
    pub fn vocab_size(&self) -> usize {
        self.decoder.shape.vocab_size
    }

    /// The longest sequence that the model was made for.
    pub fn max_position_embeddings(&self) -> usize {
        self.decoder.shape.max_positions
    }

    /// How many numbers its weights have, each once, without those of adapters.
    pub fn num_parameters(&self) -> usize {
        usize::try_from(self.decoder.shape.num_parameters()).unwrap_or(usize::MAX)
    }

    /// How it is to be trained.
    pub fn options(&self) -> &Options {
        &self.decoder.options
    }

    /// What weights are computed in.
    pub fn dtype(&self) -> DType {
        self.decoder.options.dtype
    }

    /// The content of a `config.json` for this model, which transformers 4 and 5 read alike: what the
    /// two spell differently is there in both spellings.
    pub fn config_json(&self) -> Value {
        Value::Object(self.config.clone())
    }

    /// The content of the `generation_config.json` that the weights came with.
    pub fn generation_config(&self) -> Option<&Value> {
        match &self.weights {
            WeightSource::Folder(checkpoint) => checkpoint.generation_config(),
            WeightSource::Random { .. } => None,
        }
    }

    /// Whether the model can be cut among so many tensor-parallel ranks. Reads no weights.
    ///
    /// # Errors
    /// All that is in the way of it, at once.
    pub fn check_tensor_parallel(&self, num_ranks: usize) -> Result<(), Error> {
        self.decoder.check_tensor_parallel(num_ranks)
    }

    /// Where the weights come from.
    pub fn weights(&self) -> &WeightSource {
        &self.weights
    }

    fn build(
        &self,
        modules: &[String],
        device: &Device,
        ranks: &Ranks,
    ) -> Result<Box<dyn StageModel>, BoxError> {
        Ok(Box::new(self.decoder.build_stage(modules, &self.weights, device, ranks)?))
    }

    pub(crate) fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Whether a checkpoint has exactly this model's tensors.
    pub(crate) fn check(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        self.decoder.check(checkpoint)
    }
}

impl Model for AutoModel {
    fn graph(&self) -> ModuleGraph {
        self.decoder.graph()
    }

    fn build_stage(
        &self,
        modules: &[String],
        device: &Device,
    ) -> Result<Box<dyn StageModel>, BoxError> {
        self.build(modules, device, &Ranks::alone())
    }

    fn build_stage_among(
        &self,
        modules: &[String],
        device: &Device,
        group: &Arc<dyn TensorParallelGroup>,
    ) -> Result<Box<dyn StageModel>, BoxError> {
        self.build(modules, device, &Ranks::of(group))
    }
}
