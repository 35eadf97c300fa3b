//! A GPU in a build that knows none: nothing starts there.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, DType, Error, Layout, Result, Shape, Storage};

use super::machine::{Call, Grid, Machine};
use super::product::Onto;
use super::{Kernel, Operand};

/// No tensor is there, so that nobody comes by.
fn none<T>() -> Result<T> {
    Err(Error::NotCompiledWithCudaSupport.bt())
}

impl Machine for CudaStorage {
    fn of(storage: &Storage) -> Option<&Self> {
        if let Storage::Cuda(storage) = storage { Some(storage) } else { None }
    }

    fn into_storage(self) -> Storage {
        Storage::Cuda(self)
    }

    fn fresh(_: &<Self as BackendStorage>::Device, _: &Shape, _: DType) -> Result<Self> {
        none()
    }

    fn run(_: &Kernel, _: Grid, _: Call<'_, '_, Self>) -> Result<()> {
        none()
    }

    fn multiply(_: [Operand<'_, Self>; 2], _: (&mut Self, &Layout), _: Onto) -> Result<()> {
        none()
    }
}
