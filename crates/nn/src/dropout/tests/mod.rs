//! Tests of dropout: its rate, what its mask depends on, and its gradient.

mod on_gpu;

use candle_core::{DType, Device, Tensor};

use super::{Dropout, Noise, dropout};
use crate::oracle::{assert_derivative, numbers, random, variable};
use crate::{Parameters, vjp};

const NOISE: Noise = Noise { seed: 7, first_row: 0 };

fn ones(shape: &[usize]) -> Tensor {
    Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap()
}

/// Which of so many numbers of each row are kept.
fn mask(shape: &[usize], p: f64, noise: Noise, name: &str) -> Vec<bool> {
    numbers(&dropout(&ones(shape), p, &noise, name).unwrap()).iter().map(|&x| x != 0.).collect()
}

fn share(of: impl IntoIterator<Item = bool>) -> f64 {
    let (mut all, mut yes) = (0., 0.);
    for is_so in of {
        all += 1.;
        yes += if is_so { 1. } else { 0. };
    }
    yes / all
}

#[test]
fn as_many_are_zeroed_as_asked_and_the_others_are_scaled() {
    for p in [0.01, 0.1, 0.5, 0.9] {
        let y = numbers(&dropout(&ones(&[20, 5000]), p, &NOISE, "a").unwrap());
        // Four standard deviations of a share of 100,000.
        let limit = 4. * (p * (1. - p) / 1e5f64).sqrt();
        let zeroed = share(y.iter().map(|&y| y == 0.));
        assert!((zeroed - p).abs() < limit, "{zeroed} of {p}");
        let scaled = 1. / (1. - p);
        assert!(y.iter().all(|&y| y == 0. || (y / scaled - 1.).abs() < 1e-6));
    }
    let x = random(&[3, 4], 1, DType::F32);
    assert_eq!(numbers(&dropout(&x, 0., &NOISE, "a").unwrap()), numbers(&x));
}

#[test]
fn places_rows_names_and_seeds_are_independent() {
    let p = 0.3;
    let first = mask(&[20, 5000], p, NOISE, "a");
    let agree = |other: &[bool]| share(first.iter().zip(other).map(|(a, b)| a == b));
    let by_chance = p * p + (1. - p) * (1. - p);
    for (what, other) in [
        ("another name", mask(&[20, 5000], p, NOISE, "b")),
        ("another seed", mask(&[20, 5000], p, Noise { seed: 8, ..NOISE }, "a")),
        ("the next row", first[5000..].to_vec()),
        ("the next place", first[1..].to_vec()),
        ("the next block of the stream", first[16..].to_vec()),
    ] {
        let share = agree(&other);
        assert!((share - by_chance).abs() < 0.008, "{what}: {share}, by chance {by_chance}");
    }
}

#[test]
fn the_mask_does_not_depend_on_how_a_batch_is_cut() {
    let whole = mask(&[6, 3, 1100], 0.4, NOISE, "a");
    for cut in [[1usize, 2, 3].as_slice(), &[6], &[1; 6]] {
        let (mut parts, mut first_row) = (Vec::new(), 0);
        for &rows in cut {
            parts.extend(mask(&[rows, 3, 1100], 0.4, Noise { first_row, ..NOISE }, "a"));
            first_row += rows;
        }
        assert_eq!(parts, whole);
    }
    // A longer row begins as a shorter one, and its shape is no matter.
    assert_eq!(mask(&[1, 2, 600], 0.4, NOISE, "a"), whole[..1200]);
}

#[test]
fn columns_are_treated_as_in_the_whole() {
    // Rows longer than what is drawn at once, of tokens that begin anywhere in the stream's blocks.
    let noise = Noise { first_row: 3, ..NOISE };
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        let x = random(&[3, 5, 2500], 1, dtype);
        let whole = dropout(&x, 0.4, &noise, "a").unwrap();
        for columns in [0..2500, 0..1, 7..1300, 2499..2500, 5..5] {
            let (start, len) = (columns.start, columns.len());
            let part = x.narrow(2, start, len).unwrap();
            let layer = Dropout::new(0.4, "a").unwrap().of_columns(columns, 2500).unwrap();
            let y = layer.forward(&part, &noise).unwrap();
            assert_eq!(numbers(&y), numbers(&whole.narrow(2, start, len).unwrap()));
        }
    }
}

#[test]
fn all_dtypes_have_one_mask_and_its_gradient() {
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
        let x = variable(&[4, 9], 1, dtype);
        let y = dropout(&x.t().unwrap(), 0.5, &NOISE, "a").unwrap();
        let doubled = numbers(&(x.t().unwrap() * 2.).unwrap());
        let kept = mask(&[9, 4], 0.5, NOISE, "a");
        let expected = |x: &[f64]| -> Vec<f64> {
            x.iter().zip(&kept).map(|(&x, &kept)| if kept { x } else { 0. }).collect()
        };
        assert_eq!(numbers(&y), expected(&doubled), "{dtype:?}");
        let grad = random(&[9, 4], 2, dtype);
        let grads = vjp(&[y], std::slice::from_ref(&grad)).unwrap();
        let actual = numbers(&grads.get(&x).unwrap().t().unwrap());
        assert_eq!(actual, expected(&numbers(&(grad * 2.).unwrap())), "{dtype:?}");
    }
    let x = variable(&[3, 5], 1, DType::F64);
    assert_derivative(&[&x], &Parameters::new(), || dropout(&x, 0.25, &NOISE, "a"));
}

#[test]
fn what_is_zeroed_is_zero_whatever_it_was() {
    let x = Tensor::full(f32::NAN, (1, 1000), &Device::Cpu).unwrap();
    let y = numbers(&dropout(&x, 0.5, &NOISE, "a").unwrap());
    assert!((0.4..0.6).contains(&share(y.iter().map(|&y| y == 0.))));
}

#[test]
fn what_does_not_fit_is_named() {
    let error = |x: &Tensor, p| dropout(x, p, &NOISE, "a").unwrap_err().to_string();
    for p in [-0.1, 1., f64::NAN] {
        let expected =
            format!("the probability of dropout must be at least 0 and below 1, got {p}");
        assert_eq!(error(&ones(&[2]), p), expected);
    }
    assert!(
        error(&ones(&[]), 0.5).contains("the dropout takes an input of shape [batch, ..], got []")
    );
    let layer = || Dropout::new(0.5, "a").unwrap();
    assert_eq!(
        layer().of_columns(3..5, 4).unwrap_err().to_string(),
        "a tensor of 4 columns has no columns 3..5"
    );
    let layer = layer().of_columns(1..3, 4).unwrap();
    for (shape, shown) in [(&[2, 3][..], "[2, 3]"), (&[2], "[2]")] {
        assert_eq!(
            layer.forward(&ones(shape), &NOISE).unwrap_err().to_string(),
            format!("the dropout takes an input of shape [batch, .., 2], got {shown}")
        );
    }
    let empty = dropout(&ones(&[0, 3]), 0.5, &NOISE, "a").unwrap();
    assert_eq!(empty.dims(), [0, 3]);
    let last = Noise { first_row: usize::MAX, ..NOISE };
    assert!(dropout(&ones(&[2, 3]), 0.5, &last, "a").is_ok());
}
