//! The hyperbolic tangent without branches or calls, as the exponentials here are.
//!
//! Near zero, where `1 - 2 / (e^2x + 1)` would cancel, it is `x + x³ R(x²)`; the coefficients of `R`
//! are Cephes'.

use super::Real;

/// Below this the formula for small numbers is the better one.
const SMALL: f64 = 0.625;

/// `tanh x`, within three units in the last place.
#[inline(always)]
pub(super) fn tanh_f32(x: f32) -> f32 {
    let z = x * x;
    let mut p = -5.704_988_7e-3;
    p = p * z + 2.063_909e-2;
    p = p * z - 5.373_971_6e-2;
    p = p * z + 1.333_144_2e-1;
    p = p * z - 3.333_328e-1;
    choose(x, x + x * z * p)
}

/// The same for f64, with a quotient of polynomials.
#[inline(always)]
pub(super) fn tanh_f64(x: f64) -> f64 {
    let z = x * x;
    let above =
        (-0.964_399_179_425_052_2 * z - 99.287_723_100_191_86) * z - 1_614.687_684_417_084_5;
    let below =
        ((z + 112.811_678_491_632_93) * z + 2_235.488_390_601_004_5) * z + 4_844.063_053_251_255;
    choose(x, x + x * z * (above / below))
}

/// `near` if `x` is small; else the tangent from the exponential.
#[inline(always)]
fn choose<T: Real>(x: T, near: T) -> T {
    let size = if x < T::zero() { T::zero() - x } else { x };
    let two = T::constant(2.);
    let far = T::one() - two / ((size + size).exp() + T::one());
    let far = if x < T::zero() { T::zero() - far } else { far };
    if size < T::constant(SMALL) { near } else { far }
}
