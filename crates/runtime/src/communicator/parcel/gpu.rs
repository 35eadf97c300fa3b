//! How a tensor goes from one CUDA stream to another, of one GPU or two, without the host waiting.
//!
//! Each rank that is a thread has a stream of its own, also where several share a GPU. What a library
//! notes of who reads and writes memory does not cover the memory that candle writes, so the streams are
//! joined by events of our own: the reader's waits for what the writer's was at when it sent, and what
//! is read is kept until it has been. Nobody writes to what has been sent.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, DeviceRepr, ValidAsZeroBits};
use candle_core::cuda_backend::{CudaDType, WrapErr as _};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, DType, Device, Result, Storage, Tensor, bail};

use super::peer;

/// What a stream was at when a tensor was sent.
#[derive(Clone, Debug)]
pub(super) struct Ready(Arc<CudaEvent>);

/// Keeps alive what another stream may still read. Dropped, it waits for that.
#[derive(Debug, Default)]
pub(in super::super) struct Held(Mutex<Vec<Reading>>);

/// A tensor that another stream reads until its event.
#[derive(Debug)]
struct Reading {
    /// Given up only once it has been read.
    _tensor: Tensor,
    done: CudaEvent,
}

impl Reading {
    /// Where the GPU has failed there is nothing left to protect.
    fn goes_on(&self) -> bool {
        matches!(self.done.try_is_complete(), Ok(false))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.goes_on() {
            let _ = self.done.synchronize();
        }
    }
}

/// A tensor as it is sent, and from when on another GPU may read it: its numbers row by row.
pub(super) fn ready(tensor: Tensor) -> Result<(Tensor, Option<Ready>)> {
    let Device::Cuda(device) = tensor.device().clone() else { return Ok((tensor, None)) };
    let tensor = tensor.contiguous()?;
    let event = device.cuda_stream().record_event(None).w()?;
    Ok((tensor, Some(Ready(Arc::new(event)))))
}

/// A copy of a tensor that was sent, on another device.
pub(super) fn copied(
    tensor: &Tensor,
    ready: &Ready,
    device: &Device,
    held: &Held,
) -> Result<Tensor> {
    let Device::Cuda(to) = device else { return tensor.to_device(device) };
    let stream = to.cuda_stream();
    stream.wait(&ready.0).w()?;
    let copied = {
        let (storage, layout) = tensor.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else { bail!("the tensor is not on a GPU") };
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("the tensor is not contiguous")
        };
        let of = start..end;
        match storage.dtype() {
            DType::U8 => slice::<u8>(storage, of, to),
            DType::U32 => slice::<u32>(storage, of, to),
            DType::I16 => slice::<i16>(storage, of, to),
            DType::I32 => slice::<i32>(storage, of, to),
            DType::I64 => slice::<i64>(storage, of, to),
            DType::BF16 => slice::<half::bf16>(storage, of, to),
            DType::F16 => slice::<half::f16>(storage, of, to),
            DType::F32 => slice::<f32>(storage, of, to),
            DType::F64 => slice::<f64>(storage, of, to),
            other => bail!("tensors of {other:?} do not go from one GPU's stream to another"),
        }?
    };
    let done = stream.record_event(None).w()?;
    let mut held = held.0.lock().unwrap_or_else(PoisonError::into_inner);
    held.retain(Reading::goes_on);
    held.push(Reading { _tensor: tensor.clone(), done });
    let shape = tensor.shape().clone();
    Ok(Tensor::from_storage(Storage::Cuda(copied), shape, BackpropOp::none(), false))
}

fn slice<T: CudaDType + DeviceRepr + ValidAsZeroBits>(
    storage: &CudaStorage,
    of: Range<usize>,
    to: &CudaDevice,
) -> Result<CudaStorage> {
    let stream = to.cuda_stream();
    let copied = if of.is_empty() {
        // Not every GPU gives memory of no bytes.
        stream.alloc_zeros::<T>(1)
    } else {
        let from = storage.as_cuda_slice::<T>()?.slice(of);
        let is_other = storage.device().cuda_stream().context() != stream.context();
        if is_other { peer::copy(&stream, &from) } else { stream.clone_dtod(&from) }
    };
    Ok(CudaStorage::wrap_cuda_slice(copied.w()?, to.clone()))
}
