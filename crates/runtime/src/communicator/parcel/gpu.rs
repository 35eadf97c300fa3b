//! How a tensor goes from one CUDA stream to another, of one GPU or two, without the host waiting.
//!
//! Each rank that is a thread has a stream of its own, also where several share a GPU. What a library
//! notes of who reads and writes memory does not cover the memory that candle writes, so the streams are
//! joined by events of our own: the reader's waits for what the writer's was at when it sent, and what
//! is read is kept until it has been.

use std::ops::Range;
use std::sync::Arc;

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, DeviceRepr};
use candle_core::cuda_backend::{CudaDType, WrapErr as _};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, DType, Result, Storage, Tensor, bail};

/// What a stream was at when a tensor was sent.
#[derive(Clone, Debug)]
pub(super) struct Ready(Arc<CudaEvent>);

impl Ready {
    pub(super) fn of(device: &CudaDevice) -> Result<Self> {
        Ok(Self(Arc::new(device.cuda_stream().record_event(None).w()?)))
    }
}

/// A tensor that another stream reads until its event.
#[derive(Debug)]
pub(super) struct Reading {
    /// Given up only once it has been read.
    _tensor: Tensor,
    done: CudaEvent,
}

impl Reading {
    pub(super) fn new(tensor: Tensor, done: CudaEvent) -> Self {
        Self { _tensor: tensor, done }
    }

    pub(super) fn goes_on(&self) -> bool {
        !self.done.is_complete()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.goes_on() {
            // Where the GPU has failed there is nothing left to protect.
            let _ = self.done.synchronize();
        }
    }
}

/// A copy of a contiguous tensor on the stream of another device, and the event of its end.
pub(super) fn copy(tensor: &Tensor, ready: &Ready, to: &CudaDevice) -> Result<(Tensor, CudaEvent)> {
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
    let shape = tensor.shape().clone();
    Ok((Tensor::from_storage(Storage::Cuda(copied), shape, BackpropOp::none(), false), done))
}

fn slice<T: CudaDType + DeviceRepr>(
    storage: &CudaStorage,
    of: Range<usize>,
    to: &CudaDevice,
) -> Result<CudaStorage> {
    let stream = to.cuda_stream();
    let copied = if of.is_empty() {
        // Nobody can have memory of no bytes.
        stream.null::<T>().w()?
    } else {
        stream.clone_dtod(&storage.as_cuda_slice::<T>()?.slice(of)).w()?
    };
    Ok(CudaStorage::wrap_cuda_slice(copied, to.clone()))
}
