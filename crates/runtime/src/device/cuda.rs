//! The GPUs that CUDA sees.

use candle_core::cuda::cudarc::driver::CudaContext;
use candle_core::cuda::cudarc::driver::sys::CUresult;
use candle_core::{Error, Result};

/// How many there are; none on a machine without any.
pub(super) fn num_gpus() -> Result<usize> {
    match CudaContext::device_count() {
        Ok(count) => Ok(usize::try_from(count).unwrap_or(0)),
        Err(error) if error.0 == CUresult::CUDA_ERROR_NO_DEVICE => Ok(0),
        Err(error) => Err(Error::wrap(error)),
    }
}
