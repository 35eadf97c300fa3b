//! Tests of the loops that all kernels are made of.

use half::bf16;

use super::{Number, Real, max, sum, sum2, vectorised};

#[test]
fn exp_is_within_two_units_in_the_last_place() {
    let mut x = -87.3f32;
    while x < 88.37 {
        let (actual, expected) = (f64::from(Real::exp(x)), f64::from(x).exp());
        let error = (actual - expected).abs() / expected;
        assert!(error < 2. * f64::from(f32::EPSILON), "exp({x}) = {actual}, should be {expected}");
        x += 0.003_1;
    }
    assert_eq!(Real::exp(0f32), 1.);
    let mut x = -708.3f64;
    while x < 709.4 {
        let (actual, expected) = (Real::exp(x), x.exp());
        let error = (actual - expected).abs() / expected;
        assert!(error < 2. * f64::EPSILON, "exp({x}) = {actual}, should be {expected}");
        x += 0.031;
    }
    assert_eq!(Real::exp(0f64), 1.);
}

#[test]
fn exp_at_the_ends_of_its_range() {
    assert_eq!(Real::exp(-88f32), 0.);
    assert_eq!(Real::exp(f32::MIN), 0.);
    assert_eq!(Real::exp(f32::NEG_INFINITY), 0.);
    assert_eq!(Real::exp(89f32), f32::INFINITY);
    assert_eq!(Real::exp(f32::INFINITY), f32::INFINITY);
    assert!(Real::exp(f32::NAN).is_nan());
    assert_eq!(Real::exp(-709f64), 0.);
    assert_eq!(Real::exp(f64::MIN), 0.);
    assert_eq!(Real::exp(f64::NEG_INFINITY), 0.);
    assert_eq!(Real::exp(710f64), f64::INFINITY);
    assert_eq!(Real::exp(f64::INFINITY), f64::INFINITY);
    assert!(Real::exp(f64::NAN).is_nan());
}

#[test]
fn bfloat16_is_rounded_as_half_rounds_it() {
    let specials = [0, 1, 0x7f80_0000, 0x7f80_0001, 0x7fbf_ffff, 0x7fff_ffff, 0x7f7f_ffff];
    let spread = (0..200_000u32).map(|i| i.wrapping_mul(0x9e37_79b9));
    for bits in spread.chain(specials).flat_map(|bits| [bits, bits ^ 0x8000_0000]) {
        let x = f32::from_bits(bits);
        let (actual, expected) = (bf16::narrow(x), bf16::from_f32(x));
        assert_eq!(actual.to_bits(), expected.to_bits(), "{x} of bits {bits:x}");
        assert!(actual.wide() == expected.to_f32() || x.is_nan());
    }
}

/// The loops of several kernels over all lengths of a rest: whatever their result's bits are, they
/// are a hash of the order and rounding of every operation.
#[inline(always)]
fn many_loops<T: Real>(x: &[T], y: &[T]) -> Vec<f64> {
    let mut bits = Vec::new();
    for len in 0..x.len() {
        let (x, y) = (&x[..len], &y[..len]);
        bits.push(sum(x, |x| x.exp()).into());
        bits.push(sum2(x, y, |x, y| x * y + x / y).into());
        bits.push(max(x).into());
        let turned = x.iter().zip(y).map(|(&x, &y)| (x * y - y * x.exp()).into());
        bits.extend(turned);
    }
    bits
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    fn check<T: Real>(numbers: impl Fn(u32) -> T) {
        let x: Vec<T> = (0..150).map(|i| numbers(i * 7 + 1)).collect();
        let y: Vec<T> = (0..150).map(|i| numbers(i * 13 + 5)).collect();
        let best = vectorised(
            #[inline(always)]
            || many_loops(&x, &y),
        );
        let bits = |numbers: Vec<f64>| numbers.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        // Called as it is, a loop is compiled for what every machine of this kind has.
        assert_eq!(bits(best), bits(many_loops(&x, &y)));
    }
    check(|i| f64::from(i % 97).sin() * 3.);
    #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
    check(|i| (f64::from(i % 97).sin() * 3.) as f32);
}

#[test]
fn reductions_take_every_number_once_at_any_length() {
    for len in 0..100u32 {
        let x: Vec<f64> = (1..=len).map(f64::from).collect();
        let n = f64::from(len);
        assert_eq!(sum(&x, |x| x), n * (n + 1.) / 2.);
        assert_eq!(sum2(&x, &x, |a, b| a * b), n * (n + 1.) * (2. * n + 1.) / 6.);
        assert_eq!(max(&x), if len == 0 { f64::NEG_INFINITY } else { n });
        let negative: Vec<f64> = x.iter().map(|x| -x).collect();
        assert_eq!(max(&negative), if len == 0 { f64::NEG_INFINITY } else { -1. });
    }
}
