//! Tests of the cross entropy.

mod on_gpu;

use candle_core::{DType, Device, Tensor};

use super::by_rows::loss_by;
use super::labels::{Label, of_whole};
use super::{IGNORE_INDEX, composed, count_labels, cross_entropy_sum};
use crate::oracle::{ALL_DTYPES, assert_agree, assert_derivative, numbers, random, variable};
use crate::{Parameters, vjp};

const CLASSES: usize = 70;

fn labels() -> Tensor {
    Tensor::new(&[[3i64, IGNORE_INDEX, 69], [0, 7, IGNORE_INDEX]], &Device::Cpu).unwrap()
}

fn classes() -> Vec<Label> {
    of_whole(&labels(), CLASSES).unwrap()
}

#[test]
fn agrees_with_candles_operations() {
    for (dtype, tolerance) in ALL_DTYPES {
        let logits = variable(&[2, 3, CLASSES], 1, dtype);
        let none = Parameters::new();
        let slow = || composed(&logits, &classes());
        assert_agree(&[&logits], &none, tolerance, || cross_entropy_sum(&logits, &labels()), slow);

        let logits = variable(&[2, CLASSES + 2, 3], 1, dtype);
        let view = || logits.narrow(1, 2, CLASSES)?.transpose(1, 2);
        let fused = || cross_entropy_sum(&view()?, &labels());
        assert_agree(&[&logits], &none, tolerance, fused, || composed(&view()?, &classes()));
    }
}

#[test]
fn any_number_of_rows_at_a_time_agrees_with_all_at_once() {
    let none = Parameters::new();
    for (dtype, tolerance) in ALL_DTYPES {
        let logits = variable(&[2, 3, CLASSES], 1, dtype);
        let slow = || composed(&logits, &classes());
        for num_rows in [1, 4, 100] {
            let blocks = || loss_by(num_rows, &logits, classes());
            assert_agree(&[&logits], &none, tolerance, blocks, slow);
        }
    }
    let logits = variable(&[2, 3, CLASSES], 1, DType::F64);
    assert_derivative(&[&logits], &none, || (loss_by(4, &logits, classes())? * 0.3)?.sqr());
    let empty = Tensor::zeros((0, CLASSES), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(loss_by(4, &empty, Vec::new()).unwrap().to_scalar::<f32>().unwrap(), 0.);
}

/// Whatever a row has that nobody counts, it changes nothing.
#[test]
fn rows_without_a_label_are_not_looked_at() {
    let mut numbers = vec![0.5f32; 6 * CLASSES];
    numbers[CLASSES] = f32::NAN;
    let logits = Tensor::from_vec(numbers, (2, 3, CLASSES), &Device::Cpu).unwrap();
    let logits = candle_core::Var::from_tensor(&logits).unwrap();
    let loss = loss_by(4, &logits, classes()).unwrap();
    assert!((loss.to_scalar::<f32>().unwrap() - 4. * (CLASSES as f32).ln()).abs() < 1e-4);
    let grads = loss.backward().unwrap();
    assert!(crate::oracle::numbers(grads.get(&logits).unwrap()).iter().all(|g| g.is_finite()));
}

#[test]
fn agrees_with_the_definition() {
    let logits = random(&[2, 3, CLASSES], 1, DType::F64);
    let expected: f64 = numbers(&logits)
        .chunks(CLASSES)
        .zip(classes())
        .filter_map(|(row, class)| match class {
            Label::Own(class) => Some(row.iter().map(|z| z.exp()).sum::<f64>().ln() - row[class]),
            Label::Elsewhere | Label::Ignored => None,
        })
        .sum();
    let actual = cross_entropy_sum(&logits, &labels()).unwrap();
    assert!((actual.to_scalar::<f64>().unwrap() - expected).abs() < 1e-12);
}

#[test]
fn has_the_right_derivative() {
    let logits = variable(&[2, 3, CLASSES], 1, DType::F64);
    assert_derivative(&[&logits], &Parameters::new(), || cross_entropy_sum(&logits, &labels()));
}

#[test]
fn half_precision_gives_a_loss_in_float32() {
    let logits = variable(&[2, 3, CLASSES], 1, DType::BF16);
    let loss = cross_entropy_sum(&logits, &labels()).unwrap();
    let expected = cross_entropy_sum(&logits.to_dtype(DType::F32).unwrap(), &labels()).unwrap();
    assert_eq!(loss.dtype(), DType::F32);
    assert!((loss.to_scalar::<f32>().unwrap() - expected.to_scalar::<f32>().unwrap()).abs() < 1e-4);
    let grads = loss.backward().unwrap();
    assert_eq!(grads.get(&logits).unwrap().dtype(), DType::BF16);
}

#[test]
fn ignored_rows_have_no_gradient_and_may_be_all() {
    let logits = variable(&[2, 3, CLASSES], 1, DType::F32);
    let grads = cross_entropy_sum(&logits, &labels()).unwrap().backward().unwrap();
    let sizes: Vec<f64> = numbers(grads.get(&logits).unwrap())
        .chunks(CLASSES)
        .map(|row| row.iter().map(|g| g.abs()).sum())
        .collect();
    assert_eq!(
        sizes.iter().map(|&size| size > 0.).collect::<Vec<_>>(),
        [true, false, true, true, true, false]
    );

    let ignored = (labels().zeros_like().unwrap() + -100.).unwrap();
    let loss = cross_entropy_sum(&logits, &ignored).unwrap();
    assert_eq!(loss.to_scalar::<f32>().unwrap(), 0.);
    let one = Tensor::new(1f32, &Device::Cpu).unwrap();
    let grads = vjp(&[loss], &[one]).unwrap();
    assert!(numbers(grads.get(&logits).unwrap()).iter().all(|&g| g == 0.));
}

#[test]
fn large_logits_do_not_overflow() {
    let logits = Tensor::new(&[[1e4f32, -1e4, 0.]], &Device::Cpu).unwrap();
    let labels = Tensor::new(&[1u32], &Device::Cpu).unwrap();
    assert_eq!(cross_entropy_sum(&logits, &labels).unwrap().to_scalar::<f32>().unwrap(), 2e4);
}

#[test]
fn labels_are_counted_and_checked() {
    assert_eq!(count_labels(&labels()).unwrap(), 4);
    assert_eq!(count_labels(&Tensor::new(&[1u32, 2], &Device::Cpu).unwrap()).unwrap(), 2);
    let logits = random(&[1, 5], 1, DType::F32);
    let message = |label: i64| {
        let labels = Tensor::new(&[label], &Device::Cpu).unwrap();
        cross_entropy_sum(&logits, &labels).unwrap_err().to_string()
    };
    let expected =
        "the label 5 is out of range: the logits have 5 classes, and -100 marks what to ignore";
    assert_eq!(message(5), expected);
    assert!(message(-1).contains("the label -1"));
    let float = Tensor::new(&[1f32], &Device::Cpu).unwrap();
    assert!(
        count_labels(&float).unwrap_err().to_string().contains("labels of u32 or i64, got F32")
    );
    let error = cross_entropy_sum(&logits, &labels()).unwrap_err().to_string();
    assert!(
        error.contains("logits of shape [2, 3, classes]") && error.contains("got [1, 5]"),
        "{error}"
    );
    assert!(cross_entropy_sum(&random(&[], 1, DType::F32), &labels()).is_err());
}
