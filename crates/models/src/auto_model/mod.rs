//! `AutoModel`: a model of whichever family its config names.

mod family;

#[cfg(test)]
mod tests;

use std::path::Path;

use autopipe_runtime::Model;
use serde_json::Value;

pub use family::Family;

use crate::checkpoint::CONFIG_FILE;
use crate::{Checkpoint, Error, Llama, LlamaConfig, WeightSource, json};

/// A model of any family, for those who need not know which.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AutoModel {
    /// See [`Llama`].
    Llama(Llama),
}

/// The model in a Hugging Face folder: `config.json` and safetensors, one file or shards.
///
/// The weights stay on disk until a stage is built; all headers are read and checked now.
///
/// # Errors
/// If a file cannot be read, the config asks for what is not implemented, or the weights do not fit
/// it. What is wrong with one of them is told all at once.
pub fn load_folder(folder: &Path) -> Result<AutoModel, Error> {
    let config = read_config(folder)?;
    let family = Family::of(&config)?;
    AutoModel::new(family, &config, || Checkpoint::open(folder).map(WeightSource::Folder))
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
    AutoModel::new(Family::of(config)?, config, || Ok(WeightSource::Random { seed }))
}

impl AutoModel {
    /// Looks for weights only when the config is known to be good.
    fn new(
        family: Family,
        config: &Value,
        weights: impl FnOnce() -> Result<WeightSource, Error>,
    ) -> Result<Self, Error> {
        match family {
            Family::Llama => {
                let config = LlamaConfig::from_json(config)?;
                Ok(Self::Llama(Llama::new(config, weights()?)?))
            }
        }
    }

    /// Which family the model is of.
    pub fn family(&self) -> Family {
        match self {
            Self::Llama(_) => Family::Llama,
        }
    }

    /// The model to build stages of.
    pub fn as_model(&self) -> &dyn Model {
        match self {
            Self::Llama(llama) => llama,
        }
    }

    /// The model alone.
    pub fn into_model(self) -> Box<dyn Model> {
        match self {
            Self::Llama(llama) => Box::new(llama),
        }
    }

    /// How many token ids the model knows.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Llama(llama) => llama.config().vocab_size,
        }
    }

    /// The longest sequence that the model was made for.
    pub fn max_position_embeddings(&self) -> usize {
        match self {
            Self::Llama(llama) => llama.config().max_position_embeddings,
        }
    }

    /// The content of a `config.json` for this model.
    pub fn config_json(&self) -> Value {
        match self {
            Self::Llama(llama) => llama.config().to_json(),
        }
    }

    /// The content of the `generation_config.json` that the weights came with.
    pub fn generation_config(&self) -> Option<&Value> {
        match self.weights() {
            WeightSource::Folder(checkpoint) => checkpoint.generation_config(),
            WeightSource::Random { .. } => None,
        }
    }

    /// Where the weights come from.
    pub fn weights(&self) -> &WeightSource {
        match self {
            Self::Llama(llama) => llama.weights(),
        }
    }

    /// Whether a checkpoint has exactly this model's tensors.
    pub(crate) fn check(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        match self {
            Self::Llama(llama) => llama.check(checkpoint),
        }
    }
}
