//! Tests of the vector-Jacobian product.

use candle_core::{DType, Device, Tensor, Var};

use super::vjp;
use crate::oracle::{numbers, random, variable};

#[test]
fn equals_the_backward_of_the_weighted_sum_bit_by_bit() {
    let (x, w) = (variable(&[3, 4], 1, DType::F32), variable(&[4, 5], 2, DType::F32));
    let outputs = || {
        let y = x.matmul(&w).unwrap();
        [y.tanh().unwrap(), y.sqr().unwrap()]
    };
    let grads = [random(&[3, 5], 3, DType::F32), random(&[3, 5], 4, DType::F32)];
    let actual = vjp(&outputs(), &grads).unwrap();
    let [a, b] = outputs();
    let sum = ((a * &grads[0]).unwrap().sum_all().unwrap()
        + (b * &grads[1]).unwrap().sum_all().unwrap())
    .unwrap();
    let expected = sum.backward().unwrap();
    for var in [&x, &w] {
        assert_eq!(numbers(actual.get(var).unwrap()), numbers(expected.get(var).unwrap()));
    }
}

#[test]
fn outputs_that_need_no_gradient_are_passed_over() {
    let x = variable(&[2], 1, DType::F64);
    let plain = random(&[3], 2, DType::F32);
    let ids = x.ge(&x.zeros_like().unwrap()).unwrap();
    let y = (x.as_tensor() * 2.).unwrap();
    let outputs = [plain.clone(), y, ids.clone()];
    let grads = [plain.clone(), random(&[2], 3, DType::F64), ids.clone()];
    let store = vjp(&outputs, &grads).unwrap();
    let expected: Vec<f64> = numbers(&grads[1]).iter().map(|g| 2. * g).collect();
    assert_eq!(numbers(store.get(&x).unwrap()), expected);

    let nothing = vjp(&[plain.clone(), ids.clone()], &[plain, ids]).unwrap();
    assert_eq!(nothing.get_ids().count(), 0);
    assert_eq!(vjp(&[], &[]).unwrap().get_ids().count(), 0);
}

#[test]
fn an_output_may_be_a_variable_or_come_twice_or_be_of_another_dtype() {
    let x = Var::from_slice(&[1f32, 2.], 2, &Device::Cpu).unwrap();
    let half = x.to_dtype(DType::BF16).unwrap();
    let outputs = [x.as_tensor().clone(), x.as_tensor().clone(), half];
    let grad = Tensor::new(&[1f32, 4.], &Device::Cpu).unwrap();
    let grads = [grad.clone(), grad.clone(), grad.to_dtype(DType::BF16).unwrap()];
    let store = vjp(&outputs, &grads).unwrap();
    assert_eq!(numbers(store.get(&x).unwrap()), [3., 12.]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let x = variable(&[2], 1, DType::F32);
    let y = x.sqr().unwrap();
    let message = |grads: &[Tensor]| vjp(std::slice::from_ref(&y), grads).unwrap_err().to_string();
    assert!(message(&[]).contains("1 outputs need as many gradients, got 0"));
    assert!(
        message(&[random(&[3], 1, DType::F32)]).contains("the gradient of output 0 has shape [3]")
    );
    assert!(message(&[random(&[2], 1, DType::F64)]).contains("dtype F64"));
}
