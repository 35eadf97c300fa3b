//! Tests of the loops that all kernels are made of.

use super::{Real, max, sum, sum2};

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
}

#[test]
fn exp_at_the_ends_of_its_range() {
    assert_eq!(Real::exp(-88f32), 0.);
    assert_eq!(Real::exp(f32::MIN), 0.);
    assert_eq!(Real::exp(f32::NEG_INFINITY), 0.);
    assert_eq!(Real::exp(89f32), f32::INFINITY);
    assert_eq!(Real::exp(f32::INFINITY), f32::INFINITY);
    assert!(Real::exp(f32::NAN).is_nan());
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
