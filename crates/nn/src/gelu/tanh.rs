//! GELU with the distribution approximated by a hyperbolic tangent.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use candle_core::{Result, Tensor};

use super::in_float32;
use crate::activation::GpuActivation;
use crate::activation::{Activation, sigmoid};
use crate::cpu::Real;

/// `s = ½ (1 + tanh u) = σ(2u)` with `u = √(2/π) (x + 0.044715 x³)`.
#[derive(Clone, Copy)]
pub(crate) struct Tanh;

const CUBIC: f64 = 0.044_715;
/// √(2/π).
const SLOPE: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;

/// Beyond this `s` is 0 or 1 in every dtype; its cube is in the range of all.
const FAR: f64 = 64.;

/// `2u` and its derivative times `x`, at the nearest number that is not far.
#[inline(always)]
fn exponent<T: Real>(x: T) -> (T, T) {
    let (far, slope) = (T::constant(FAR), T::constant(2. * SLOPE));
    let x = if x > far { far } else { x };
    let x = if x < T::zero() - far { T::zero() - far } else { x };
    let square = x * x;
    let (cubic, three) = (T::constant(CUBIC) * square, T::constant(3.));
    (slope * x * (T::one() + cubic), slope * x * (T::one() + three * cubic))
}

impl Activation for Tanh {
    const NAMES: [&'static str; 2] = ["gelu by tanh", "geglu by tanh"];

    // The constants are 2 √(2/π) and that of the cube; beyond 64 `s` is 0 or 1.
    const ON_GPU: GpuActivation = GpuActivation {
        share: "REAL near = x > 64 ? 64 : (x < -64 ? -64 : x);
        REAL slope = near * (REAL) 1.5957691216057308;
        REAL cubic = near * near * (REAL) 0.044715;
        REAL s = 1 / (1 + EXP(-slope * (1 + cubic)));",
        slope: "s * (1 + slope * (1 + 3 * cubic) * (1 - s))",
    };

    #[inline(always)]
    fn share<T: Real>(self, x: T) -> T {
        sigmoid(exponent(x).0)
    }

    #[inline(always)]
    fn backward<T: Real>(self, x: T, grad: T) -> (T, T) {
        let (exponent, rise) = exponent(x);
        let s = sigmoid(exponent);
        (s, grad * s * (T::one() + rise * (T::one() - s)))
    }

    fn composed(self, x: &Tensor) -> Result<Tensor> {
        in_float32(x, |x| {
            let u = ((x + ((x.sqr()? * x)? * CUBIC)?)? * SLOPE)?;
            (u.tanh()? + 1.)? * (x * 0.5)?
        })
    }
}
