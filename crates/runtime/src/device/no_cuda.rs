//! A build that knows no GPU.
#![expect(clippy::unnecessary_wraps, reason = "with CUDA it may fail")]

use candle_core::{Device, Result};

pub(super) fn num_gpus() -> Result<usize> {
    Ok(0)
}

pub(super) fn open(gpu: usize) -> Result<Device> {
    Device::new_cuda_with_stream(gpu)
}

pub(super) fn is_out_of_memory(_: &(dyn std::error::Error + 'static)) -> bool {
    false
}

pub(super) fn peak(_: &Device) -> Result<Option<u64>> {
    Ok(None)
}

pub(super) fn restart_peak(_: &Device) -> Result<()> {
    Ok(())
}
