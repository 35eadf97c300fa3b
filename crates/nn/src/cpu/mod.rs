//! The ground under the fused CPU kernels: number types, slices of tensors, and loops that become
//! vector code of whatever instruction set the machine has.
//!
//! Loops keep several sums at once, so that the compiler may use vector registers without changing
//! the result: the order of additions is fixed by the code and the same on every machine.

mod arch;
mod exp;
mod gemm;
mod in_place;
mod normal;
mod number;
mod reduce;
mod tanh;
mod values;

#[cfg(test)]
mod tests;

pub(crate) use arch::vectorised;
pub(crate) use gemm::{Matrix, add_product, product, put_product};
pub(crate) use in_place::{AddAssign, ScaleAssign, write};
pub(crate) use number::{Number, Real, for_number, has_kernels};
pub(crate) use reduce::{count, max, sum, sum2};
pub(crate) use values::{Values, add_to, contiguous, contiguous_mut, cpu};
