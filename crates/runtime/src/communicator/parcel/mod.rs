//! A tensor on its way from one rank to another: their devices may differ.

use candle_core::{Device, Tensor};

use crate::Error;

#[cfg(feature = "cuda")]
mod gpu;

/// A tensor on its way.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) tensor: Tensor,
    /// Whether it comes from a GPU, as which it goes to the receiver's.
    pub(super) is_of_gpu: bool,
    #[cfg(feature = "cuda")]
    ready: Option<gpu::Ready>,
}

/// Keeps alive what another stream may still read. Dropped, it waits for that.
#[derive(Debug, Default)]
pub(super) struct Held {
    #[cfg(feature = "cuda")]
    read: std::sync::Mutex<Vec<gpu::Reading>>,
}

impl Parcel {
    /// A tensor as its sender has it. On a GPU it may not be computed yet: whoever opens it makes the
    /// own GPU wait until it is.
    pub(super) fn pack(tensor: Tensor) -> Result<Self, Error> {
        #[cfg(feature = "cuda")]
        if let Device::Cuda(device) = tensor.device().clone() {
            // What travels is its numbers, and not the whole that it shows a part of.
            let tensor = tensor.contiguous().map_err(Error::HandOver)?;
            let ready = Some(gpu::Ready::of(&device).map_err(Error::HandOver)?);
            return Ok(Self { tensor, is_of_gpu: true, ready });
        }
        let is_of_gpu = !tensor.device().is_cpu();
        Ok(Self::read(tensor, is_of_gpu))
    }

    /// What has come as bytes, of another process.
    pub(super) fn read(tensor: Tensor, is_of_gpu: bool) -> Self {
        Self {
            tensor,
            is_of_gpu,
            #[cfg(feature = "cuda")]
            ready: None,
        }
    }

    /// The tensor as its receiver uses it: on its device, if it came from a GPU.
    #[cfg_attr(
        not(feature = "cuda"),
        expect(unused_variables, reason = "nothing is read on a GPU")
    )]
    pub(super) fn open(self, device: Option<&Device>, held: &Held) -> Result<Tensor, Error> {
        let Some(device) = device.filter(|_| self.is_of_gpu) else { return Ok(self.tensor) };
        if self.tensor.device().same_device(device) {
            return Ok(self.tensor);
        }
        #[cfg(feature = "cuda")]
        if let (Device::Cuda(device), Some(ready)) = (device, &self.ready) {
            let copied = gpu::copy(&self.tensor, ready, device).map_err(Error::HandOver)?;
            held.keep(gpu::Reading::new(self.tensor, copied.1));
            return Ok(copied.0);
        }
        self.tensor.to_device(device).map_err(Error::HandOver)
    }
}

#[cfg(feature = "cuda")]
impl Held {
    fn keep(&self, reading: gpu::Reading) {
        let mut read = self.read.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        read.retain(gpu::Reading::goes_on);
        read.push(reading);
    }
}
