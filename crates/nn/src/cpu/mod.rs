//! The ground under the fused CPU kernels: number types, slices of tensors, and vectorisable loops.
//!
//! Loops keep several sums at once, so that the compiler may use vector registers without changing
//! the result: the order of additions is fixed by the code and the same on every machine.

mod exp;
mod in_place;
mod real;
mod reduce;
mod values;

#[cfg(test)]
mod tests;

pub(crate) use in_place::{AddAssign, ScaleAssign};
pub(crate) use real::{Real, for_real, has_kernels};
pub(crate) use reduce::{max, sum, sum2};
pub(crate) use values::{Values, add_to, contiguous, contiguous_mut, cpu};
