//! Tests of the layer normalisation.

use candle_core::{D, DType, Device, Tensor};

use super::{LayerNorm, normalise};
use crate::oracle::{
    ALL_DTYPES, assert_agree, assert_close, assert_derivative, numbers, parameter, random, variable,
};
use crate::{Parameters, vjp};

const EPS: f64 = 1e-5;

fn layer(hidden: usize, dtype: DType) -> (Parameters, LayerNorm) {
    let mut set = Parameters::new();
    let weight = parameter(&mut set, "norm.weight", &[hidden], dtype);
    let bias = parameter(&mut set, "norm.bias", &[hidden], dtype);
    (set, LayerNorm::new(weight, Some(bias), EPS).unwrap())
}

fn without_bias(hidden: usize, dtype: DType) -> (Parameters, LayerNorm) {
    let mut set = Parameters::new();
    let weight = parameter(&mut set, "norm.weight", &[hidden], dtype);
    (set, LayerNorm::new(weight, None, EPS).unwrap())
}

fn slow(norm: &LayerNorm, x: &Tensor) -> candle_core::Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let root = (centred.sqr()?.mean_keepdim(D::Minus1)? + EPS)?.sqrt()?;
    let y = centred.broadcast_div(&root)?.broadcast_mul(norm.weight().value())?;
    match norm.bias() {
        Some(bias) => y.broadcast_add(bias.value()),
        None => Ok(y),
    }
}

#[test]
fn agrees_with_candles_operations() {
    for (dtype, tolerance) in ALL_DTYPES {
        for hidden in [3, 6, 75] {
            for (set, norm) in [layer(hidden, dtype), without_bias(hidden, dtype)] {
                let x = variable(&[2, 3, hidden], 1, dtype);
                assert_agree(&[&x], &set, tolerance, || norm.forward(&x), || slow(&norm, &x));
            }
        }
    }
}

#[test]
fn takes_strided_inputs() {
    for (dtype, tolerance) in ALL_DTYPES {
        let (set, norm) = layer(4, dtype);
        let x = variable(&[2, 6, 3], 1, dtype);
        let view = || x.narrow(1, 1, 4)?.transpose(1, 2);
        assert_agree(&[&x], &set, tolerance, || norm.forward(&view()?), || slow(&norm, &view()?));
    }
}

#[test]
fn the_form_without_a_kernel_agrees_too() {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F16, 1e-2)] {
        for (set, norm) in [layer(6, dtype), without_bias(6, dtype)] {
            let x = variable(&[4, 6], 1, dtype);
            assert_agree(&[&x], &set, tolerance, || norm.composed(&x), || slow(&norm, &x));
            assert_agree(&[&x], &set, tolerance, || norm.forward(&x), || slow(&norm, &x));
        }
    }
}

#[test]
fn has_the_right_derivative() {
    for (set, norm) in [layer(5, DType::F64), without_bias(5, DType::F64)] {
        let x = variable(&[3, 5], 1, DType::F64);
        assert_derivative(&[&x], &set, || norm.forward(&x));
    }
}

#[test]
fn a_row_far_from_zero_keeps_its_digits() {
    let far = Tensor::new(&[4095f32, 4096., 4097., 4096.], &Device::Cpu).unwrap();
    let near = (&far - 4096.).unwrap();
    let (_, norm) = layer(4, DType::F32);
    let expected = norm.forward(&near).unwrap();
    assert_close("output", &norm.forward(&far).unwrap(), &expected, 1e-6);
}

#[test]
fn rows_of_one_number_and_no_rows_work() {
    for (dtype, _) in ALL_DTYPES {
        let (set, norm) = layer(1, dtype);
        let x = variable(&[3, 1], 1, dtype);
        let y = norm.forward(&x).unwrap();
        let bias = numbers(norm.bias().unwrap().value());
        assert_eq!(numbers(&y), [bias[0]; 3]);
        let ones = y.ones_like().unwrap();
        let grads = vjp(&[y], &[ones]).unwrap();
        assert_eq!(numbers(grads.get(&x).unwrap()), [0.; 3]);
        assert_eq!(set.iter().map(|p| numbers(&p.grad().unwrap())[0]).sum::<f64>(), 3.);

        let (set, norm) = layer(4, dtype);
        let y = norm.forward(&variable(&[0, 4], 1, dtype)).unwrap();
        assert_eq!(y.dims(), [0, 4]);
        let zeros = y.detach();
        vjp(&[y], &[zeros]).unwrap();
        assert!(set.iter().all(|p| numbers(&p.grad().unwrap()) == [0.; 4]));
        let (_, norm) = layer(0, dtype);
        assert_eq!(norm.forward(&variable(&[2, 0], 1, dtype)).unwrap().dims(), [2, 0]);
    }
}

#[test]
fn untracked_inputs_and_frozen_parameters() {
    let (_, norm) = layer(5, DType::F64);
    let (x, grad) = (random(&[3, 5], 1, DType::F64), random(&[3, 5], 2, DType::F64));
    let grads = vjp(&[norm.forward(&x).unwrap()], std::slice::from_ref(&grad)).unwrap();
    assert_eq!(grads.get_ids().count(), 0);
    let expected = (normalise(&x, EPS).unwrap() * &grad).unwrap().sum(0).unwrap();
    assert_close("weight gradient", &norm.weight().grad().unwrap(), &expected, 1e-13);
    let bias_grad = norm.bias().unwrap().grad().unwrap();
    assert_close("bias gradient", &bias_grad, &grad.sum(0).unwrap(), 1e-14);

    // The bias alone is trained, as some ways of fine-tuning do.
    let mut partly = Parameters::new();
    let weight = partly.add("w", norm.weight().value().copy().unwrap(), false).unwrap();
    let bias = partly.add("b", norm.bias().unwrap().value().copy().unwrap(), true).unwrap();
    let norm = LayerNorm::new(weight, Some(bias), EPS).unwrap();
    let y = norm.forward(&x).unwrap();
    let (_, late) = partly.deferring(|| vjp(&[y], std::slice::from_ref(&grad)).unwrap());
    assert_eq!(late.len(), 1);
    late.run().unwrap();
    assert_eq!(numbers(&norm.bias().unwrap().grad().unwrap()), numbers(&bias_grad));
    assert!(norm.weight().grad().is_none());
}

#[test]
fn what_does_not_fit_is_named() {
    let (mut set, norm) = layer(5, DType::F32);
    let message = norm.forward(&random(&[2, 4], 1, DType::F32)).unwrap_err().to_string();
    assert_eq!(message, "the normalisation takes an input of shape [.., 5], got [2, 4]");
    assert!(norm.forward(&random(&[], 1, DType::F32)).is_err());
    assert!(norm.forward(&random(&[2, 5], 1, DType::F64)).is_err());
    let weight = norm.weight().clone();
    let message = LayerNorm::new(weight.clone(), None, f64::NAN).unwrap_err().to_string();
    assert_eq!(message, "eps must be at least 0, got NaN");
    let matrix = parameter(&mut set, "matrix", &[2, 2], DType::F32);
    let message = LayerNorm::new(matrix.clone(), None, EPS).unwrap_err().to_string();
    let expected = "the normalisation needs a weight of shape [hidden], `matrix` has [2, 2]";
    assert_eq!(message, expected);
    let message = LayerNorm::new(weight, Some(matrix), EPS).unwrap_err().to_string();
    let expected = "the normalisation needs a weight of shape [5], `matrix` has [2, 2]";
    assert_eq!(message, expected);
}
