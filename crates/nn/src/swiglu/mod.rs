//! The gated activation of Llama's feed-forward: silu(gate) · up.

#[cfg(test)]
mod tests;

use candle_core::{Result, Tensor};

use crate::activation::GpuActivation;
use crate::activation::{Activation, gated, sigmoid};
use crate::cpu::Real;

/// `silu(gate) · up = gate σ(gate) up`, for two tensors of one shape.
///
/// With `s = σ(gate)` and `G` the output's gradient, the backward is
/// `dgate = G up s (1 + gate (1 - s))` and `dup = G gate s`. Nothing but the inputs is kept for it.
///
/// Paper: [Shazeer, 2020](https://arxiv.org/abs/2002.05202).
///
/// # Errors
/// If the shapes, dtypes or devices differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gated(gate, up, Silu)
}

#[derive(Clone, Copy)]
pub(crate) struct Silu;

impl Activation for Silu {
    const NAMES: [&'static str; 2] = ["silu", "swiglu"];

    const ON_GPU: GpuActivation =
        GpuActivation { share: "REAL s = 1 / (1 + EXP(-x));", slope: "s * (1 + x * (1 - s))" };

    #[inline(always)]
    fn share<T: Real>(self, x: T) -> T {
        sigmoid(x)
    }

    #[inline(always)]
    fn backward<T: Real>(self, x: T, grad: T) -> (T, T) {
        let s = sigmoid(x);
        (s, grad * s * (T::one() + x * (T::one() - s)))
    }

    fn composed(self, x: &Tensor) -> Result<Tensor> {
        x.silu()
    }
}
