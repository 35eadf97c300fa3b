//! The standard normal distribution without branches or calls, as the exponentials here are.

use super::Real;

/// How the upper tail of the distribution, `Q(a) = 1 - Φ(a)`, is approximated for `a >= 0`.
///
/// `e^(a²/2) Q(a)` falls as `1 / (a + k)` does, so its product with `a + k` is smooth up to
/// infinity: a polynomial in `t = (a - k) / (a + k)`, which goes from -1 to 1. The coefficients
/// interpolate at the zeros of a Chebyshev polynomial; with this `k` few of them are enough.
pub(super) struct UpperTail<T, const N: usize> {
    /// From here on the density is zero.
    end: T,
    /// A product with it splits a number into two halves whose squares are exact.
    split: T,
    k: T,
    /// From the highest power of `t`.
    coefficients: [T; N],
}

/// Within 1.2e-8 of the true value.
pub(super) const F32: UpperTail<f32, 11> = UpperTail {
    end: 14.,
    split: 4097.,
    k: 3.5,
    coefficients: [
        -4.976_688_8e-5,
        3.463_520_3e-5,
        4.526_939_3e-4,
        -4.177_686e-4,
        -0.003_178_985_8,
        0.006_465_234,
        0.017_406_06,
        -0.116_049_044,
        0.315_425_07,
        -0.565_561_9,
        0.744_416_06,
    ],
};

/// Within 5e-17.
pub(super) const F64: UpperTail<f64, 23> = UpperTail {
    end: 38.6,
    split: 134_217_729.,
    k: 5.,
    coefficients: [
        -8.166_192_624_428_987e-10,
        5.037_302_126_379_857e-10,
        9.446_827_519_677_366e-9,
        -5.015_649_939_857_857e-9,
        -6.782_555_313_291_156e-8,
        3.581_840_051_543_223e-8,
        4.340_262_594_829_775e-7,
        -3.310_698_071_526_862e-7,
        -2.769_337_871_043_854e-6,
        3.977_912_640_593_242e-6,
        1.668_109_911_586_346_8e-5,
        -4.976_177_118_979_218e-5,
        -5.937_567_328_648_865_5e-5,
        5.448_988_309_009_3e-4,
        -7.978_694_094_808_063e-4,
        -0.002_993_376_738_223_22,
        0.020_795_066_800_941_616,
        -0.069_118_638_708_814_32,
        0.165_020_366_170_342_82,
        -0.313_533_156_671_213_8,
        0.495_305_615_969_976_8,
        -0.665_382_502_890_057_7,
        0.769_193_049_750_063,
    ],
};

/// The distribution function and the density at `x`, both as exact relative to their size as the
/// exponential is; zero where it is, below -13.2 in f32 and -37.6 in f64.
#[inline(always)]
pub(super) fn standard_normal<T: Real, const N: usize>(x: T, tail: &UpperTail<T, N>) -> (T, T) {
    let (one, half) = (T::one(), T::constant(0.5));
    let a = if x < T::zero() { T::zero() - x } else { x };
    let a = if a > tail.end { tail.end } else { a };

    // What the rounded square lacks would be hundreds of units in the last place of the exponential.
    let square = a * a;
    let large = a * tail.split;
    let high = large - (large - a);
    let low = a - high;
    let error = ((high * high - square) + (high + high) * low) + low * low;
    let falling = (T::zero() - half * square).exp();
    let falling = falling - falling * (half * error);

    let reciprocal = one / (a + tail.k);
    let t = (a - tail.k) * reciprocal;
    let mut p = T::zero();
    for &coefficient in &tail.coefficients {
        p = p * t + coefficient;
    }
    let above = falling * (p * reciprocal);
    let below = if x < T::zero() { above } else { one - above };
    (below, falling * T::constant(0.398_942_280_401_432_7))
}
