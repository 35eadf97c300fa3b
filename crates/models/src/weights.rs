//! Where the weights of a model come from.

use autopipe_nn::init;
use candle_core::{DType, Device, Tensor};

use crate::blocks::{Declared, Init};
use crate::{Checkpoint, Error};

/// Where the weights of a model come from when a stage is built.
#[derive(Clone, Debug)]
pub enum WeightSource {
    /// Drawn at random: matrices from a normal distribution, norms are one, biases zero. Each
    /// parameter has its own stream of numbers, by its name, so that every split of the model begins
    /// with the same weights.
    Random {
        /// Another seed, another model.
        seed: u64,
    },
    /// Read from a checkpoint, each stage its own tensors.
    Folder(Checkpoint),
}

impl WeightSource {
    /// The initial value of one parameter; `std` is the standard deviation of random ones.
    pub(crate) fn tensor(
        &self,
        declared: &Declared,
        std: f64,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor, Error> {
        let Declared { name, shape, init } = declared;
        let shape = shape.as_slice();
        let tensor = match (self, init) {
            (Self::Folder(checkpoint), _) => return checkpoint.read(name, dtype, device),
            (Self::Random { seed }, Init::Normal) => {
                init::normal(shape, std, *seed, name, dtype, device)
            }
            (Self::Random { .. }, Init::Zeros) => Tensor::zeros(shape, dtype, device),
            (Self::Random { .. }, Init::Ones) => Tensor::ones(shape, dtype, device),
        };
        tensor.map_err(|source| Error::Parameter { name: name.clone(), source })
    }
}
