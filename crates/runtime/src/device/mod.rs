//! Which device of its machine a rank computes on.

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "no_cuda.rs"]
mod cuda;
#[cfg(feature = "cuda")]
mod pool;

use candle_core::{Device, Error, Result};

/// How many GPUs this process sees; none in a build without the feature `cuda`.
///
/// # Errors
/// If CUDA does not start.
pub fn num_gpus() -> Result<usize> {
    cuda::num_gpus()
}

/// The GPU of a rank: of those of this machine the one of the rank's number, counted round, so that ranks
/// share GPUs if there are more of them. `None` without a GPU, or in a build without the feature `cuda`.
///
/// Each call makes a device with a stream of its own, which for candle is another device, even of the same
/// GPU. Ranks that are threads need one each; the threads of one rank share it. Memory that is given back
/// stays with the process, for what it computes next.
///
/// # Errors
/// If CUDA does not start.
///
/// # Examples
/// ```
/// use candle_core::Device;
///
/// let rank = 3;
/// let device = autopipe_runtime::gpu_of_rank(rank)?.unwrap_or(Device::Cpu);
/// # candle_core::Result::Ok(())
/// ```
pub fn gpu_of_rank(rank: usize) -> Result<Option<Device>> {
    match num_gpus()? {
        0 => Ok(None),
        num_gpus => cuda::open(rank % num_gpus).map(Some),
    }
}

/// Whether an operation has failed because a GPU has too little memory.
pub(crate) fn is_out_of_memory(error: &Error) -> bool {
    if let Error::Cuda(source) = error {
        return cuda::is_out_of_memory(&**source);
    }
    if let Error::WithBacktrace { inner, .. } | Error::Context { inner, .. } = error {
        return is_out_of_memory(inner);
    }
    false
}

/// The most bytes that this process has had of a GPU at once since the last
/// [`restart_gpu_peak`]: of all its ranks that share the GPU together. `None` of any other device.
///
/// # Errors
/// Whatever CUDA reports.
pub fn gpu_peak(device: &Device) -> Result<Option<u64>> {
    cuda::peak(device)
}

/// Counts [`gpu_peak`] anew, from what the process has of the GPU now.
///
/// # Errors
/// Whatever CUDA reports.
pub fn restart_gpu_peak(device: &Device) -> Result<()> {
    cuda::restart_peak(device)
}
