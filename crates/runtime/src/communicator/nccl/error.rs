//! What goes wrong on the way from this rank's GPU to another's.

use std::time::Duration;

use crate::{BoxError, OutOfMemory};

/// Why tensors do not go from GPU to GPU.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NcclError {
    /// The rank has no GPU.
    #[error(
        "NCCL carries tensors from GPU to GPU, and this rank computes on {device}; let it have a CUDA \
         device, or leave NCCL out on all ranks"
    )]
    NoGpu {
        /// What it computes on.
        device: String,
    },
    /// The device computes on another stream for each thread.
    #[error(
        "each thread that uses this CUDA device computes in an order of its own, in which no message can \
         take its place; make the device with `Device::new_cuda_with_stream`"
    )]
    StreamOfThread,
    /// The GPU's memory comes from no pool.
    #[error(
        "this GPU has no pools of memory: to give memory up it waits for all that it is at, messages of \
         other ranks included, which may wait for this one; leave NCCL out on all ranks (no --nccl)"
    )]
    NoPools,
    /// A call of NCCL.
    #[error("{call} failed: {cause}")]
    Call {
        /// Which.
        call: &'static str,
        /// NCCL's words for the error, and the last that it has logged.
        cause: String,
    },
    /// A call of NCCL that it refuses, as it does when two ranks are on one GPU.
    #[error(
        "{call} failed: {cause}; if two ranks are on one GPU, start no more ranks than GPUs, leave NCCL out \
         on all ranks (no --nccl), or set NCCL_MULTI_RANK_GPU_ENABLE=1, with which NCCL takes two on each \
         from 2.30 on"
    )]
    Usage {
        /// Which.
        call: &'static str,
        /// NCCL's words for the error, and the last that it has logged.
        cause: String,
    },
    /// A call of CUDA.
    #[error("CUDA failed: {0}")]
    Cuda(#[source] BoxError),
    /// The other rank's NCCL does not answer.
    #[error(
        "waited {waited:?} for NCCL to reach the other rank; see what it logs with NCCL_DEBUG=INFO"
    )]
    Late {
        /// How long.
        waited: Duration,
    },
    /// Another rank told something else than this one expects.
    #[error("what was told of them cannot be read: {cause}; are all processes of one build?")]
    Unreadable {
        /// What is wrong with it.
        cause: String,
    },
    /// A tensor could not be made or copied.
    #[error(transparent)]
    Tensor(candle_core::Error),
    /// There is no room for what is to come.
    #[error(transparent)]
    OutOfMemory(OutOfMemory),
    /// There is no thread to go on with what is under way.
    #[error("the thread that goes on with messages did not start: {0}")]
    Thread(#[source] std::io::Error),
}

impl From<candle_core::Error> for NcclError {
    /// Without the backtrace, which candle prints in the midst of the message.
    fn from(error: candle_core::Error) -> Self {
        match error {
            candle_core::Error::WithBacktrace { inner, .. } => Self::from(*inner),
            other => OutOfMemory::of(other).map_or_else(Self::Tensor, Self::OutOfMemory),
        }
    }
}
