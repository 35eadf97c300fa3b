//! Tests of the initial weights.

use candle_core::{DType, Device};

use super::{fnv_1a, normal, uniform};
use crate::oracle::numbers;

#[test]
fn the_numbers_are_pinned() {
    let x = normal(3, 1., 42, "model.embed_tokens.weight", DType::F64, &Device::Cpu).unwrap();
    assert_eq!(format!("{:.6?}", numbers(&x)), "[-0.715397, -0.336513, 2.123457]");
}

#[test]
fn mean_and_deviation_are_as_asked() {
    let n = 40_000;
    let x = numbers(&normal((200, 200), 0.5, 1, "w", DType::F32, &Device::Cpu).unwrap());
    let mean = x.iter().sum::<f64>() / f64::from(n);
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
    assert!(mean.abs() < 0.01, "{mean}");
    assert!((variance.sqrt() - 0.5).abs() < 0.01, "{variance}");
}

#[test]
fn seed_and_name_decide_alone() {
    let draw = |seed, name, shape: &[usize]| {
        numbers(&normal(shape, 1., seed, name, DType::F32, &Device::Cpu).unwrap())
    };
    let first = draw(1, "a", &[2, 3]);
    assert_eq!(first, draw(1, "a", &[6]));
    assert_ne!(first, draw(2, "a", &[6]));
    assert_ne!(first, draw(1, "b", &[6]));
}

#[test]
fn the_hash_is_fnv_1a() {
    // From the test vectors of the hash's authors.
    assert_eq!(fnv_1a(""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv_1a("a"), 0xaf63_dc4c_8601_ec8c);
    assert_eq!(fnv_1a("foobar"), 0x8594_4171_f739_67e8);
}

#[test]
fn uniform_numbers_fill_their_range() {
    let draw = |seed| numbers(&uniform(40_000, 0.5, seed, "w", DType::F32, &Device::Cpu).unwrap());
    let x = draw(7);
    assert_eq!(x, draw(7));
    assert_ne!(x, draw(8));
    assert!(x.iter().all(|x| (-0.5..=0.5).contains(x)));
    let mean = x.iter().sum::<f64>() / 40_000.;
    let variance = x.iter().map(|x| x * x).sum::<f64>() / 40_000.;
    assert!(mean.abs() < 0.005 && (variance - 1. / 12.).abs() < 0.002, "{mean} {variance}");
}
