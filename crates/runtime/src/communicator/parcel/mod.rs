//! A tensor on its way from one rank to another: their devices may differ.

#[cfg(feature = "cuda")]
mod gpu;
#[cfg(not(feature = "cuda"))]
#[path = "no_gpu.rs"]
mod gpu;
#[cfg(feature = "cuda")]
mod peer;

use candle_core::{Device, Tensor};

use crate::Error;
pub(super) use gpu::Held;
use gpu::Ready;

/// A tensor on its way.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) tensor: Tensor,
    /// Whether it comes from a GPU, as which it goes to the receiver's.
    pub(super) is_of_gpu: bool,
    /// From when on another GPU may read it; of a GPU's tensor in its own process.
    ready: Option<Ready>,
}

impl Parcel {
    /// A tensor as its sender has it. On a GPU it may not be computed yet: whoever opens it makes the
    /// own GPU wait until it is.
    pub(super) fn pack(tensor: Tensor) -> Result<Self, Error> {
        let is_of_gpu = !tensor.device().is_cpu();
        let (tensor, ready) = gpu::ready(tensor).map_err(|source| Error::HandOver { source })?;
        Ok(Self { tensor, is_of_gpu, ready })
    }

    /// What has come as bytes, of another process.
    pub(super) fn read(tensor: Tensor, is_of_gpu: bool) -> Self {
        Self { tensor, is_of_gpu, ready: None }
    }

    /// The tensor as its receiver uses it: on its device, if it came from a GPU.
    pub(super) fn open(self, device: Option<&Device>, held: &Held) -> Result<Tensor, Error> {
        let Some(device) = device.filter(|_| self.is_of_gpu) else { return Ok(self.tensor) };
        if self.tensor.device().same_device(device) {
            return Ok(self.tensor);
        }
        let opened = match &self.ready {
            Some(ready) => gpu::copied(&self.tensor, ready, device, held),
            None => self.tensor.to_device(device),
        };
        opened.map_err(|source| Error::HandOver { source })
    }
}
