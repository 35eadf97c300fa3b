//! Kernels of our own for GPUs, compiled where they run: one pass over the numbers where candle's
//! operations would make several, and numbers changed in place.
//!
//! They are written in the part of C that CUDA and C have in common, so that a machine without a GPU can
//! compile them as well: what starts them is generic over the [`Machine`], and the tests have one of their
//! own. Each stands with its layer.

#[cfg(test)]
mod by_loops;
#[cfg(any(test, feature = "cuda"))]
mod columns;
#[cfg(feature = "cuda")]
mod cublas;
#[cfg(test)]
mod emulated;
#[cfg(any(test, feature = "cuda"))]
mod in_place;
#[cfg(any(test, feature = "cuda"))]
mod kernel;
#[cfg(feature = "cuda")]
mod launch;
#[cfg(any(test, feature = "cuda"))]
mod machine;
#[cfg(any(test, feature = "cuda"))]
mod product;
#[cfg(test)]
mod tests;

use candle_core::{DType, Tensor};

#[cfg(any(test, feature = "cuda"))]
pub(crate) use columns::{Term, add_columns};
#[cfg(any(test, feature = "cuda"))]
pub(crate) use in_place::{add, scale};
#[cfg(any(test, feature = "cuda"))]
pub(crate) use kernel::{Array, Kernel, for_rows};
#[cfg(any(test, feature = "cuda"))]
pub(crate) use machine::{Call, Grid, Machine, Operand, make, read, tensor};
#[cfg(any(test, feature = "cuda"))]
pub(crate) use product::{Onto, add_product, product};
#[cfg(test)]
pub(crate) use tests::{DTYPES, assert_same, numbers_of};

/// Whether there are kernels for a tensor, once it is contiguous: it is on a GPU that this build knows, and
/// of a type that they are for.
pub(crate) fn has_kernels(tensor: &Tensor) -> bool {
    cfg!(feature = "cuda")
        && tensor.device().is_cuda()
        && matches!(tensor.dtype(), DType::F32 | DType::F64 | DType::BF16)
}
