//! The memory of candle's tensors, as NCCL reads and writes it.
#![expect(unsafe_code, reason = "NCCL is told where the bytes of tensors are")]

use candle_core::cuda_backend::{
    CudaStorageSlice,
    cudarc::driver::{CudaSlice, DevicePtr as _},
};
use candle_core::{Device, Storage, Tensor};

use super::NcclError;
use super::carrier::Form;
use super::sys::Region;

/// A tensor whose numbers are still to come.
pub(super) fn room(form: &Form, device: &Device) -> Result<Tensor, NcclError> {
    // SAFETY: every pattern of bits is a number of each type that is sent, and whatever reads them is
    // ordered after the message that writes them.
    Ok(unsafe { Tensor::empty(form.dims.as_slice(), form.dtype, device) }?)
}

/// Where the numbers of a contiguous tensor are, `None` if it has none.
pub(super) fn region(tensor: &Tensor) -> Result<Option<Region>, NcclError> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        return Err(NcclError::NoGpu { device: format!("{:?}", tensor.device().location()) });
    };
    let Some((start, end)) = layout.contiguous_offsets() else {
        let cause = format!("a tensor of {:?} is not in one piece", layout.stride());
        return Err(NcclError::Unreadable { cause });
    };
    Ok(match &storage.slice {
        CudaStorageSlice::U8(slice) => part(slice, start, end),
        CudaStorageSlice::U32(slice) => part(slice, start, end),
        CudaStorageSlice::I16(slice) => part(slice, start, end),
        CudaStorageSlice::I32(slice) => part(slice, start, end),
        CudaStorageSlice::I64(slice) => part(slice, start, end),
        CudaStorageSlice::BF16(slice) => part(slice, start, end),
        CudaStorageSlice::F16(slice) => part(slice, start, end),
        CudaStorageSlice::F32(slice) => part(slice, start, end),
        CudaStorageSlice::F64(slice) => part(slice, start, end),
        CudaStorageSlice::F8E4M3(slice) => part(slice, start, end),
        CudaStorageSlice::F6E2M3(slice)
        | CudaStorageSlice::F6E3M2(slice)
        | CudaStorageSlice::F4(slice)
        | CudaStorageSlice::F8E8M0(slice) => part(slice, start, end),
    })
}

fn part<T>(slice: &CudaSlice<T>, start: usize, end: usize) -> Option<Region> {
    let len = end.min(slice.len()).checked_sub(start).filter(|&len| len > 0)?;
    // On the stream that computes with it, where this orders nothing: that is done with moments.
    let (address, _reading) = slice.device_ptr(slice.stream());
    let address = usize::try_from(address).ok()? + start * size_of::<T>();
    // SAFETY: the bytes are within the slice. A carrier's tensors are kept until their moment, nothing
    // writes to those that are sent, and nothing reads those to come before that moment.
    Some(unsafe { Region::new(address, len * size_of::<T>()) })
}
