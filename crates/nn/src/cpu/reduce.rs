//! Sums and maxima of slices, several at once so that they become vector code.

use candle_core::WithDType;

use super::{Number, Real};

/// How many partial results a loop keeps: two 512-bit registers of f32.
const LANES: usize = 32;

#[inline(always)]
fn fold<T: Real>(mut lanes: [T; LANES], join: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = join(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// The length of a slice as a number to divide by.
pub(crate) fn count<N: Number>(x: &[N]) -> N::Real {
    <N::Real as WithDType>::from_f64(u32::try_from(x.len()).unwrap_or(u32::MAX).into())
}

/// The sum of `term(x)` over a slice.
#[inline(always)]
pub(crate) fn sum<N: Number>(x: &[N], term: impl Fn(N::Real) -> N::Real) -> N::Real {
    let mut lanes = [zero::<N::Real>(); LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += term(x.wide());
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += term(x.wide());
    }
    fold(lanes, |a, b| a + b)
}

/// The sum of `term(x, y)` over two slices of one length.
#[inline(always)]
pub(crate) fn sum2<N: Number, M: Number<Real = N::Real>>(
    x: &[N],
    y: &[M],
    term: impl Fn(N::Real, N::Real) -> N::Real,
) -> N::Real {
    let mut lanes = [zero::<N::Real>(); LANES];
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (xs, ys) in xs.iter().zip(ys) {
        for ((lane, &x), &y) in lanes.iter_mut().zip(xs).zip(ys) {
            *lane += term(x.wide(), y.wide());
        }
    }
    for ((lane, &x), &y) in lanes.iter_mut().zip(x_rest).zip(y_rest) {
        *lane += term(x.wide(), y.wide());
    }
    fold(lanes, |a, b| a + b)
}

/// The largest number of a slice, minus infinity if it is empty. A NaN may be passed over.
#[inline(always)]
pub(crate) fn max<N: Number>(x: &[N]) -> N::Real {
    let mut lanes = [<N::Real as WithDType>::from_f64(f64::NEG_INFINITY); LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, x.wide());
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = larger(*lane, x.wide());
    }
    fold(lanes, larger)
}

#[inline(always)]
fn larger<T: Real>(a: T, b: T) -> T {
    if b > a { b } else { a }
}

#[inline(always)]
fn zero<T: Real>() -> T {
    T::zero()
}
