//! Where the weights of a model come from.

use autopipe_nn::init;
use candle_core::{DType, Device, Tensor};

use crate::blocks::{Declared, Init};
use crate::decoder::{Decoder, Planned};
use crate::{Adapter, Checkpoint, Error};

/// Where the weights of a model come from when a stage is built.
#[derive(Clone, Debug)]
pub enum WeightSource {
    /// Drawn at random: matrices from a normal distribution, norms change nothing, biases are zero.
    /// Each parameter has its own stream of numbers, by its name, so that every split of the model
    /// begins with the same weights.
    Random {
        /// Another seed, another model.
        seed: u64,
    },
    /// Read from a checkpoint, each stage its own tensors.
    Folder(Checkpoint),
}

/// What adapters are in the beginning.
#[derive(Clone, Debug)]
pub enum AdapterWeights {
    /// New ones, which change nothing: the first matrix is evenly distributed, the second zero.
    Random {
        /// Another seed, other adapters.
        seed: u64,
    },
    /// Those that were saved.
    Saved(Box<Adapter>),
}

impl Decoder {
    /// The initial value of one parameter.
    pub(crate) fn value(
        &self,
        planned: &Planned,
        weights: &WeightSource,
        device: &Device,
    ) -> Result<Tensor, Error> {
        let Planned { declared, dtype, .. } = planned;
        let name = planned.shared_with.unwrap_or(&declared.name);
        let is_checked = self.options.check_finite;
        let seed = match (self.options.lora.as_ref().map(|lora| &lora.weights), weights) {
            (Some(AdapterWeights::Saved(adapter)), _) if planned.is_in_adapter => {
                return adapter.read(name, *dtype, device, is_checked);
            }
            (Some(AdapterWeights::Random { seed }), _) if planned.is_adapter => *seed,
            (_, WeightSource::Folder(checkpoint)) => {
                return checkpoint.read_checked(name, *dtype, device, is_checked);
            }
            (_, WeightSource::Random { seed }) => *seed,
        };
        random(declared, name, self.shape.initializer_range, seed, device)
            .and_then(|value| value.to_dtype(*dtype))
            .map_err(|source| Error::Parameter { name: declared.name.clone(), source })
    }
}

/// A value drawn from the seed and the parameter's own name, in float32.
fn random(
    declared: &Declared,
    name: &str,
    std: f64,
    seed: u64,
    device: &Device,
) -> candle_core::Result<Tensor> {
    let shape = declared.shape.as_slice();
    match declared.init {
        Init::Normal => init::normal(shape, std, seed, name, DType::F32, device),
        Init::Uniform => {
            let width = shape.last().copied().unwrap_or(1);
            init::uniform(shape, (width as f64).sqrt().recip(), seed, name, DType::F32, device)
        }
        Init::Zeros => Tensor::zeros(shape, DType::F32, device),
        Init::Ones => Tensor::ones(shape, DType::F32, device),
    }
}
