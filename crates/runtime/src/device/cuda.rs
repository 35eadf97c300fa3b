//! The GPUs that CUDA sees.

use candle_core::cuda::CudaError;
use candle_core::cuda::cudarc::cublas::sys::cublasStatus_t;
use candle_core::cuda::cudarc::driver::sys::CUresult;
use candle_core::cuda::cudarc::driver::{CudaContext, DriverError};
use candle_core::cuda_backend::WrapErr as _;
use candle_core::{Device, Error, Result};

use super::pool;

/// How many there are; none on a machine without any.
pub(super) fn num_gpus() -> Result<usize> {
    match CudaContext::device_count() {
        Ok(count) => Ok(usize::try_from(count).unwrap_or(0)),
        Err(error) if error.0 == CUresult::CUDA_ERROR_NO_DEVICE => Ok(0),
        Err(error) => Err(Error::wrap(error)),
    }
}

/// A device with a stream of its own, which keeps the memory that it has had.
pub(super) fn open(gpu: usize) -> Result<Device> {
    let device = Device::new_cuda_with_stream(gpu)?;
    of(&device, pool::keep).transpose().w()?;
    Ok(device)
}

pub(super) fn is_out_of_memory(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_driver = |error: &DriverError| error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY;
    match error.downcast_ref::<CudaError>() {
        Some(CudaError::Cuda(error) | CudaError::Load { cuda: error, .. }) => is_driver(error),
        Some(CudaError::Cublas(error)) => error.0 == cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED,
        Some(_) => false,
        None => error.downcast_ref().is_some_and(is_driver),
    }
}

pub(super) fn peak(device: &Device) -> Result<Option<u64>> {
    of(device, pool::peak).transpose().w()
}

pub(super) fn restart_peak(device: &Device) -> Result<()> {
    of(device, pool::restart_peak).transpose().w().map(|_| ())
}

/// Asks for something of a GPU; nothing of another device, and of one without a pool.
fn of<T>(
    device: &Device,
    ask: impl FnOnce(&CudaContext) -> std::result::Result<T, DriverError>,
) -> Option<std::result::Result<T, DriverError>> {
    let Device::Cuda(device) = device else { return None };
    let stream = device.cuda_stream();
    stream.context().has_async_alloc().then(|| ask(stream.context()))
}
