//! Kernels of our own for GPUs, compiled where they run: one pass over the numbers where candle's
//! operations would make several, and numbers changed in place.
//!
//! They are written in the part of C that CUDA and C have in common, so that a machine without a GPU can
//! compile them as well: what starts them is generic over the [`Machine`], and the tests have one of their
//! own. Each stands with its layer.
#![cfg_attr(
    not(any(test, feature = "cuda")),
    expect(dead_code, reason = "where no kernel starts nobody asks for its text")
)]

#[cfg(test)]
mod by_loops;
mod columns;
#[cfg(feature = "cuda")]
mod cublas;
#[cfg(test)]
mod emulated;
mod in_place;
mod kernel;
#[cfg(feature = "cuda")]
mod launch;
mod machine;
#[cfg(not(feature = "cuda"))]
mod no_launch;
mod product;
#[cfg(test)]
mod tests;

use candle_core::{DType, Tensor};

pub(crate) use columns::{Term, add_columns};
pub(crate) use in_place::{add, scale};
pub(crate) use kernel::{Array, Kernel, for_rows};
pub(crate) use machine::{Call, Given, Grid, Machine, Operand, make, read, tensor};
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
