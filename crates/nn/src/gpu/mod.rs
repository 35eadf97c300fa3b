//! Kernels of our own for GPUs, compiled where they run: one pass over the numbers where candle's
//! operations would make several, and numbers changed in place.
//!
//! They are written in the part of C that CUDA and C have in common, so that a machine without a GPU can
//! compile them as well and compare them with the code for the CPU.

#[cfg(feature = "cuda")]
mod launch;
#[cfg(any(test, feature = "cuda"))]
mod source;
#[cfg(test)]
mod tests;

use candle_core::{DType, Tensor};

#[cfg(feature = "cuda")]
pub(crate) use launch::{add, scale, step};
#[cfg(any(test, feature = "cuda"))]
pub(crate) use source::GpuFormula;

/// Whether there are kernels for a tensor, once it is contiguous: it is on a GPU that this build knows, and
/// of a type that they are for.
pub(crate) fn has_kernels(tensor: &Tensor) -> bool {
    cfg!(feature = "cuda")
        && tensor.device().is_cuda()
        && matches!(tensor.dtype(), DType::F32 | DType::F64 | DType::BF16)
}
