//! The pool that a GPU's memory comes from: one for all streams of a process.
#![expect(unsafe_code, reason = "the library's calls trust the handle that it gives")]

use std::ptr::from_mut;

use candle_core::cuda::cudarc::driver::result::{device, mem_pool};
use candle_core::cuda::cudarc::driver::sys::CUmemPool_attribute as Attribute;
use candle_core::cuda::cudarc::driver::{CudaContext, DriverError};

/// Lets the pool keep what is given back, for the next step. By itself it returns it to the system
/// whenever the host waits for the GPU, and has to ask for it anew.
pub(super) fn keep(gpu: &CudaContext) -> Result<(), DriverError> {
    write(gpu, Attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, u64::MAX)
}

/// The most bytes in use since the last [`restart_peak`].
pub(super) fn peak(gpu: &CudaContext) -> Result<u64, DriverError> {
    let mut value = 0u64;
    // SAFETY: the device is one that the library gave, and so is its pool; the value of this attribute
    // has 64 bits, which the pointer leads to.
    unsafe {
        let pool = device::get_mem_pool(gpu.cu_device())?;
        let attribute = Attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH;
        mem_pool::get_attribute(pool, attribute, from_mut(&mut value).cast())?;
    }
    Ok(value)
}

/// Counts the most from what is in use now.
pub(super) fn restart_peak(gpu: &CudaContext) -> Result<(), DriverError> {
    write(gpu, Attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH, 0)
}

fn write(gpu: &CudaContext, attribute: Attribute, mut value: u64) -> Result<(), DriverError> {
    // SAFETY: as in `peak`; the attributes written here have 64 bits.
    unsafe {
        let pool = device::get_mem_pool(gpu.cu_device())?;
        mem_pool::set_attribute(pool, attribute, from_mut(&mut value).cast())
    }
}
