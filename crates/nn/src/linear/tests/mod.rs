//! Tests of the linear layer.

mod on_gpu;

use candle_core::{DType, Tensor};

use super::Linear;
use crate::oracle::{
    ALL_DTYPES, DTYPES, assert_agree, assert_close, assert_derivative, numbers, parameter, random,
    variable,
};
use crate::{Parameters, vjp};

fn layer(dtype: DType) -> (Parameters, Linear) {
    let mut set = Parameters::new();
    let weight = parameter(&mut set, "weight", &[5, 4], dtype);
    let bias = parameter(&mut set, "bias", &[5], dtype);
    let linear = Linear::new(weight, Some(bias)).unwrap();
    (set, linear)
}

fn slow(linear: &Linear, x: &Tensor) -> candle_core::Result<Tensor> {
    let y = x.broadcast_matmul(&linear.weight().value().t()?)?;
    y.broadcast_add(linear.bias().unwrap().value())
}

#[test]
fn agrees_with_candles_operations_at_any_rank() {
    for (dtype, tolerance) in ALL_DTYPES {
        let (set, linear) = layer(dtype);
        for shape in [&[4][..], &[3, 4], &[2, 3, 4], &[2, 1, 3, 4]] {
            let x = variable(shape, 1, dtype);
            let slow = || slow(&linear, &x.unsqueeze(0)?)?.squeeze(0);
            assert_agree(&[&x], &set, tolerance, || linear.forward(&x), slow);
        }
    }
}

#[test]
fn takes_strided_inputs() {
    for (dtype, tolerance) in DTYPES {
        let (set, linear) = layer(dtype);
        let x = variable(&[2, 6, 3], 1, dtype);
        let view = || x.narrow(1, 1, 4)?.transpose(1, 2);
        assert_agree(
            &[&x],
            &set,
            tolerance,
            || linear.forward(&view()?),
            || slow(&linear, &view()?),
        );
        let tail = || random(&[3, 3, 4], 2, dtype).narrow(0, 1, 2);
        assert_agree(&[], &set, tolerance, || linear.forward(&tail()?), || slow(&linear, &tail()?));
    }
}

#[test]
fn has_the_right_derivative() {
    let (set, linear) = layer(DType::F64);
    let x = variable(&[3, 4], 1, DType::F64);
    assert_derivative(&[&x], &set, || linear.forward(&x));
}

#[test]
fn the_weight_gradient_can_wait_and_may_come_in_any_order() {
    let (set, linear) = layer(DType::F64);
    let step = |seed| {
        let x = variable(&[3, 4], seed, DType::F64);
        let y = linear.forward(&x).unwrap();
        let grad = random(&[3, 5], seed + 10, DType::F64);
        let (grads, late) = set.deferring(|| vjp(&[y], &[grad]).unwrap());
        assert!(grads.get(&x).is_some());
        assert!(grads.get(linear.weight().value()).is_none());
        late
    };
    let grads = || set.iter().map(|p| p.grad().unwrap()).collect::<Vec<_>>();

    for seed in 0..3 {
        step(seed).run().unwrap();
    }
    let expected = grads();
    set.zero_grad();
    let waiting: Vec<_> = (0..3).map(step).collect();
    assert!(waiting.iter().all(|work| work.len() == 2));
    assert!(set.iter().all(|p| p.grad().is_none()));
    for work in waiting.into_iter().rev() {
        work.run().unwrap();
    }
    for (actual, expected) in grads().iter().zip(&expected) {
        assert_close("gradient", actual, expected, 1e-15);
    }
}

#[test]
fn a_frozen_weight_leaves_no_work_but_passes_the_gradient_on() {
    let mut set = Parameters::new();
    let weight = set.add("weight", random(&[5, 4], 1, DType::F64), false).unwrap();
    let bias = set.add("bias", random(&[5], 1, DType::F64), false).unwrap();
    let linear = Linear::new(weight, Some(bias)).unwrap();
    let x = variable(&[3, 4], 1, DType::F64);
    let grad = random(&[3, 5], 2, DType::F64);
    let y = linear.forward(&x).unwrap();
    let (grads, late) = set.deferring(|| vjp(&[y], std::slice::from_ref(&grad)).unwrap());
    let expected = grad.matmul(linear.weight().value()).unwrap();
    assert_close("input gradient", grads.get(&x).unwrap(), &expected, 1e-14);
    assert!(late.is_empty());
    assert!(!linear.forward(&random(&[3, 4], 1, DType::F64)).unwrap().track_op());
}

#[test]
fn an_untracked_input_still_gives_the_weight_its_gradient() {
    let (_, linear) = layer(DType::F64);
    let (x, grad) = (random(&[3, 4], 1, DType::F64), random(&[3, 5], 2, DType::F64));
    let grads = vjp(&[linear.forward(&x).unwrap()], std::slice::from_ref(&grad)).unwrap();
    assert_eq!(grads.get_ids().count(), 0);
    let expected = grad.t().unwrap().matmul(&x).unwrap();
    assert_close("weight gradient", &linear.weight().grad().unwrap(), &expected, 1e-14);
}

#[test]
fn the_form_without_kernels_agrees_too() {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F16, 5e-3)] {
        let (set, linear) = layer(dtype);
        let x = variable(&[3, 4], 1, dtype);
        assert_agree(&[&x], &set, tolerance, || linear.composed(&x), || slow(&linear, &x));
    }
}

#[test]
fn many_outputs_in_bfloat16_are_those_of_float32() {
    let mut set = Parameters::new();
    let weight = parameter(&mut set, "weight", &[1100, 8], DType::BF16);
    let bias = parameter(&mut set, "bias", &[1100], DType::BF16);
    let linear = Linear::new(weight, Some(bias)).unwrap();
    let x = variable(&[3, 8], 1, DType::BF16);
    let wide = |x: &Tensor| x.to_dtype(DType::F32);
    let slow = || {
        let y = wide(&x)?.matmul(&wide(linear.weight().value())?.t()?)?;
        y.broadcast_add(&wide(linear.bias().unwrap().value())?)?.to_dtype(DType::BF16)
    };
    assert_agree(&[&x], &set, 0.005, || linear.forward(&x), slow);
    assert!(set.iter().all(|p| p.grad().unwrap().dtype() == DType::F32));
}

#[test]
fn inputs_without_rows_and_without_columns_work() {
    for (dtype, _) in ALL_DTYPES {
        let (set, linear) = layer(dtype);
        let empty = variable(&[0, 4], 1, dtype);
        let y = linear.forward(&empty).unwrap();
        assert_eq!(y.dims(), [0, 5]);
        let zeros = y.detach();
        vjp(&[y], &[zeros]).unwrap();
        for parameter in &set {
            assert!(numbers(&parameter.grad().unwrap()).iter().all(|&x| x == 0.));
        }
        let mut set = Parameters::new();
        let linear = Linear::new(parameter(&mut set, "narrow", &[5, 0], dtype), None).unwrap();
        let x = variable(&[2, 0], 1, dtype);
        let y = linear.forward(&x).unwrap();
        assert_eq!(numbers(&y), [0.; 10]);
        let grads = vjp(std::slice::from_ref(&y), &[y.detach()]).unwrap();
        assert_eq!(grads.get(&x).unwrap().dims(), [2, 0]);
    }
}

#[test]
fn a_bias_alone_can_be_trained() {
    let mut set = Parameters::new();
    let weight = set.add("weight", random(&[5, 4], 1, DType::F64), false).unwrap();
    let linear = Linear::new(weight, Some(parameter(&mut set, "bias", &[5], DType::F64))).unwrap();
    let grad = random(&[3, 5], 2, DType::F64);
    let y = linear.forward(&random(&[3, 4], 1, DType::F64)).unwrap();
    vjp(&[y], std::slice::from_ref(&grad)).unwrap();
    let actual = linear.bias().unwrap().grad().unwrap();
    assert_close("bias gradient", &actual, &grad.sum(0).unwrap(), 1e-14);
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let mut set = Parameters::new();
    let vector = parameter(&mut set, "vector", &[5], DType::F32);
    let weight = parameter(&mut set, "weight", &[4, 3], DType::F32);
    let message = Linear::new(vector.clone(), None).unwrap_err().to_string();
    assert_eq!(message, "the linear layer needs a weight of shape [out, in], `vector` has [5]");
    let message = Linear::new(weight.clone(), Some(vector)).unwrap_err().to_string();
    assert_eq!(message, "the linear layer needs a weight of shape [4], `vector` has [5]");
    let linear = Linear::new(weight, None).unwrap();
    let message = linear.forward(&random(&[2, 4], 1, DType::F32)).unwrap_err().to_string();
    assert_eq!(message, "the linear layer takes an input of shape [.., 3], got [2, 4]");
    assert!(linear.forward(&random(&[2, 3], 1, DType::F64)).is_err());
    assert!(linear.forward(&random(&[], 1, DType::F32)).is_err());
}
