//! GELU by the normal distribution itself.

use std::f64::consts::SQRT_2;

use candle_core::{Result, Tensor};

use super::in_float32;
use crate::activation::Activation;
use crate::activation::GpuActivation;
use crate::cpu::Real;

/// `s = Φ(x)`.
#[derive(Clone, Copy)]
pub(crate) struct Exact;

impl Activation for Exact {
    const NAMES: [&'static str; 2] = ["gelu", "geglu"];

    // The second constant is 1 / √(2π).
    const ON_GPU: GpuActivation = GpuActivation {
        share: "REAL s = ERFC(x * (REAL) -0.70710678118654752) / 2;",
        slope: "s + x * EXP(x * x / -2) * (REAL) 0.39894228040143268",
    };

    #[inline(always)]
    fn share<T: Real>(self, x: T) -> T {
        x.standard_normal().0
    }

    #[inline(always)]
    fn backward<T: Real>(self, x: T, grad: T) -> (T, T) {
        let (below, density) = x.standard_normal();
        (below, grad * (below + x * density))
    }

    // Not candle's own GELU, whose backward has constants of six digits.
    fn composed(self, x: &Tensor) -> Result<Tensor> {
        in_float32(x, |x| ((x / SQRT_2)?.erf()? + 1.)? * (x * 0.5)?)
    }
}
