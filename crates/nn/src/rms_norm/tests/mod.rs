//! Tests of the root-mean-square normalisation.

mod on_gpu;

use candle_core::{D, DType, Tensor};

use super::{RmsNorm, normalised};
use crate::affine::Scale;
use crate::oracle::{
    ALL_DTYPES, assert_agree, assert_close, assert_derivative, numbers, parameter, random, variable,
};
use crate::{Parameters, vjp};

const EPS: f64 = 1e-5;

fn layer(hidden: usize, dtype: DType) -> (Parameters, RmsNorm) {
    let mut set = Parameters::new();
    let weight = parameter(&mut set, "norm.weight", &[hidden], dtype);
    (set, RmsNorm::new(weight, EPS).unwrap())
}

fn slow(norm: &RmsNorm, x: &Tensor) -> candle_core::Result<Tensor> {
    let root = (x.sqr()?.mean_keepdim(D::Minus1)? + EPS)?.sqrt()?;
    x.broadcast_div(&root)?.broadcast_mul(norm.weight().value())
}

#[test]
fn agrees_with_candles_operations() {
    for (dtype, tolerance) in ALL_DTYPES {
        for hidden in [1, 6, 75] {
            let (set, norm) = layer(hidden, dtype);
            let x = variable(&[2, 3, hidden], 1, dtype);
            assert_agree(&[&x], &set, tolerance, || norm.forward(&x), || slow(&norm, &x));
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
    let (set, norm) = layer(6, DType::F64);
    let x = variable(&[4, 6], 1, DType::F64);
    let composed = || {
        let scale = Scale::by(norm.weight());
        normalised(&x, EPS)?.apply_op2(norm.weight().value(), scale)
    };
    assert_agree(&[&x], &set, 1e-12, composed, || slow(&norm, &x));

    let (set, norm) = layer(6, DType::F16);
    let x = variable(&[4, 6], 1, DType::F16);
    assert_agree(&[&x], &set, 5e-3, || norm.forward(&x), || slow(&norm, &x));
}

#[test]
fn has_the_right_derivative() {
    let (set, norm) = layer(5, DType::F64);
    let x = variable(&[3, 5], 1, DType::F64);
    assert_derivative(&[&x], &set, || norm.forward(&x));
}

#[test]
fn untracked_inputs_and_frozen_weights() {
    let (_, norm) = layer(5, DType::F64);
    let (x, grad) = (random(&[3, 5], 1, DType::F64), random(&[3, 5], 2, DType::F64));
    let grads = vjp(&[norm.forward(&x).unwrap()], std::slice::from_ref(&grad)).unwrap();
    assert_eq!(grads.get_ids().count(), 0);
    let expected = (normalised(&x, EPS).unwrap() * &grad).unwrap().sum(0).unwrap();
    assert_close("weight gradient", &norm.weight().grad().unwrap(), &expected, 1e-13);

    let mut frozen = Parameters::new();
    let weight = frozen.add("w", norm.weight().value().copy().unwrap(), false).unwrap();
    let frozen_norm = RmsNorm::new(weight, EPS).unwrap();
    let x = variable(&[3, 5], 1, DType::F64);
    let none = Parameters::new();
    assert_agree(&[&x], &none, 1e-12, || frozen_norm.forward(&x), || slow(&norm, &x));
    assert!(frozen.iter().all(|weight| weight.grad().is_none()));
}

#[test]
fn what_does_not_fit_is_named() {
    let (mut set, norm) = layer(5, DType::F32);
    let message = norm.forward(&random(&[2, 4], 1, DType::F32)).unwrap_err().to_string();
    assert_eq!(message, "the normalisation takes an input of shape [.., 5], got [2, 4]");
    let message = norm.forward(&random(&[2, 5], 1, DType::F64)).unwrap_err().to_string();
    assert_eq!(message, "the normalisation takes an input of the weight's dtype, got F64");
    let message = RmsNorm::new(norm.weight().clone(), -1.).unwrap_err().to_string();
    assert_eq!(message, "eps must be at least 0, got -1");
    assert!(RmsNorm::new(parameter(&mut set, "matrix", &[2, 2], DType::F32), EPS).is_err());
}

#[test]
fn a_residual_is_added_and_normalised_at_once() {
    // Both results are used, as in a decoder's layer: their gradients meet in the sum.
    let joined = |(h, y): (Tensor, Tensor)| y + (h * 0.3)?;
    for (dtype, tolerance) in ALL_DTYPES {
        for hidden in [1, 6, 75] {
            let (set, norm) = layer(hidden, dtype);
            let [x, block] = [1, 2].map(|seed| variable(&[2, 3, hidden], seed, dtype));
            let fused = || joined(norm.forward_residual(&x, &block)?);
            let step_by_step = || {
                let h = (x.as_tensor() + block.as_tensor())?;
                let y = slow(&norm, &h)?;
                joined((h, y))
            };
            assert_agree(&[&x, &block], &set, tolerance, fused, step_by_step);
        }
    }
    let (set, norm) = layer(5, DType::F64);
    let [x, block] = [1, 2].map(|seed| variable(&[3, 5], seed, DType::F64));
    assert_derivative(&[&x, &block], &set, || joined(norm.forward_residual(&x, &block)?));
}

#[test]
fn a_residual_may_be_untracked_or_strided_or_have_no_kernel() {
    let (set, norm) = layer(4, DType::F64);
    let (x, block) = (random(&[3, 4], 1, DType::F64), variable(&[4, 3], 2, DType::F64));
    let fused = || Ok(norm.forward_residual(&x, &block.t()?)?.1);
    assert_agree(&[&block], &set, 1e-12, fused, || slow(&norm, &(&x + block.t()?)?));

    let (_, norm) = layer(4, DType::F16);
    let x = random(&[3, 4], 1, DType::F16);
    let (h, y) = norm.forward_residual(&x, &x).unwrap();
    assert_close("sum", &h, &(&x * 2.).unwrap(), 1e-3);
    assert_close("norm", &y, &slow(&norm, &h).unwrap(), 5e-3);
    let error = norm.forward_residual(&x, &x.narrow(0, 0, 2).unwrap()).unwrap_err().to_string();
    assert!(
        error.contains("a block's result of the residual's shape [3, 4], got [2, 4]"),
        "{error}"
    );
}

fn unit_offset(hidden: usize, dtype: DType) -> (Parameters, RmsNorm) {
    let mut set = Parameters::new();
    let weight = parameter(&mut set, "norm.weight", &[hidden], dtype);
    (set, RmsNorm::with_unit_offset(weight, EPS).unwrap())
}

/// As Hugging Face's Gemma writes it: all in float32, rounded once.
fn slow_unit_offset(norm: &RmsNorm, x: &Tensor) -> candle_core::Result<Tensor> {
    let dtype = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let wide = x.to_dtype(dtype)?;
    let root = (wide.sqr()?.mean_keepdim(D::Minus1)? + EPS)?.sqrt()?;
    let factor = (norm.weight().value().to_dtype(dtype)? + 1.)?;
    wide.broadcast_div(&root)?.broadcast_mul(&factor)?.to_dtype(x.dtype())
}

#[test]
fn one_may_be_added_to_the_weight() {
    let joined = |(h, y): (Tensor, Tensor)| y + (h * 0.3)?;
    for (dtype, tolerance) in
        [ALL_DTYPES[0], ALL_DTYPES[1], (DType::BF16, 5e-3), (DType::F16, 1e-3)]
    {
        for hidden in [1, 6, 75] {
            let (set, norm) = unit_offset(hidden, dtype);
            let [x, block] = [1, 2].map(|seed| variable(&[2, 3, hidden], seed, dtype));
            let slow = || slow_unit_offset(&norm, &x);
            assert_agree(&[&x], &set, tolerance, || norm.forward(&x), slow);
            let fused = || joined(norm.forward_residual(&x, &block)?);
            let step_by_step = || {
                let h = (x.as_tensor() + block.as_tensor())?;
                let y = slow_unit_offset(&norm, &h)?;
                joined((h, y))
            };
            assert_agree(&[&x, &block], &set, 2. * tolerance, fused, step_by_step);
        }
    }
    let (set, norm) = unit_offset(5, DType::F64);
    let x = variable(&[3, 5], 1, DType::F64);
    assert_derivative(&[&x], &set, || norm.forward(&x));
    let composed =
        || normalised(&x, EPS)?.apply_op2(norm.weight().value(), Scale::by_one_plus(norm.weight()));
    assert_agree(&[&x], &set, 1e-12, composed, || slow_unit_offset(&norm, &x));
}

#[test]
fn a_unit_offset_rounds_half_precision_once() {
    for dtype in [DType::BF16, DType::F16] {
        let (_, norm) = unit_offset(64, dtype);
        let x = random(&[50, 64], 1, dtype);
        let exact = slow_unit_offset(&norm, &x).unwrap();
        assert_eq!(numbers(&norm.forward(&x).unwrap()), numbers(&exact));
    }
}

#[test]
fn a_sum_over_many_rows_of_float16_does_not_stop_growing() {
    // In float16 a sum of ones ends at 2048.
    let (_, norm) = layer(1, DType::F16);
    let x = Tensor::ones((4096, 1), DType::F16, norm.weight().device()).unwrap();
    let grad = x.clone();
    vjp(&[norm.forward(&x).unwrap()], &[grad]).unwrap();
    let sum = numbers(&norm.weight().grad().unwrap())[0];
    assert!((sum - 4096.).abs() < 1., "{sum}");
}
