//! The Llama family: Meta's Llama and the many models that share its layout.

mod config;

use autopipe_runtime::{BoxError, Model, StageModel};
use autopipe_splitter::ModuleGraph;
use candle_core::Device;

pub use config::LlamaConfig;

use crate::decoder::DecoderShape;
use crate::{Checkpoint, Error, WeightSource};

/// A Llama with a language-model head, ready to be cut into stages.
#[derive(Clone, Debug)]
pub struct Llama {
    config: LlamaConfig,
    shape: DecoderShape,
    weights: WeightSource,
}

impl Llama {
    /// A Llama of these sizes with these weights.
    ///
    /// # Errors
    /// If the sizes contradict each other, or the checkpoint's tensors are not exactly those of the
    /// config; everything at once.
    pub fn new(config: LlamaConfig, weights: WeightSource) -> Result<Self, Error> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(Error::Config { problems });
        }
        let shape = config.decoder_shape();
        if let WeightSource::Folder(checkpoint) = &weights {
            shape.check(checkpoint)?;
        }
        Ok(Self { config, shape, weights })
    }

    /// The sizes.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// Where the weights come from.
    pub fn weights(&self) -> &WeightSource {
        &self.weights
    }

    /// Whether a checkpoint has exactly this model's tensors.
    pub(crate) fn check(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        self.shape.check(checkpoint)
    }
}

impl Model for Llama {
    fn graph(&self) -> ModuleGraph {
        self.shape.graph()
    }

    fn build_stage(
        &self,
        modules: &[String],
        device: &Device,
    ) -> Result<Box<dyn StageModel>, BoxError> {
        Ok(Box::new(self.shape.build_stage(modules, &self.weights, device)?))
    }
}
