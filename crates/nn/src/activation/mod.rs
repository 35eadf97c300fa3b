//! Activations of the form x s(x), alone and as the gate of a feed-forward.

mod alone;
mod gated;
mod on_gpu;
#[cfg(test)]
mod tests;

use candle_core::{Result, Tensor};

use crate::cpu::Real;

pub(crate) use alone::alone;
pub(crate) use gated::gated;
pub(crate) use on_gpu::GpuActivation;

/// A function `f(x) = x s(x)` of every number, `s` between 0 and 1.
pub(crate) trait Activation: Copy + Send + Sync + 'static {
    /// The name of the operation and of the one with a gate.
    const NAMES: [&'static str; 2];

    /// The same in a kernel for GPUs.
    const ON_GPU: GpuActivation;

    /// `s(x)`.
    fn share<T: Real>(self, x: T) -> T;

    /// `s(x)` and `grad f'(x)`.
    fn backward<T: Real>(self, x: T, grad: T) -> (T, T);

    /// `f` by candle's own operations, for the devices and dtypes without a kernel.
    fn composed(self, x: &Tensor) -> Result<Tensor>;
}

/// The logistic function, `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid<T: Real>(x: T) -> T {
    T::one() / (T::one() + (T::zero() - x).exp())
}
