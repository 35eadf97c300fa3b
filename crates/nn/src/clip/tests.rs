//! Tests of the gradient norm.

use candle_core::{DType, Device, Tensor};

use super::{grad_norm_squared, scale_grads};
use crate::Parameters;
use crate::oracle::{numbers, parameter, random};

#[test]
fn the_norm_is_over_all_gradients_there_are() {
    for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-12), (DType::BF16, 1e-2)] {
        let mut set = Parameters::new();
        let (a, b) =
            (parameter(&mut set, "a", &[3, 7], dtype), parameter(&mut set, "b", &[5], dtype));
        parameter(&mut set, "without", &[5], dtype);
        assert_eq!(grad_norm_squared(&set).unwrap(), 0.);
        let grads = [random(&[7, 3], 1, dtype).t().unwrap(), random(&[5], 2, dtype)];
        a.set_grad(Some(grads[0].clone()));
        b.set_grad(Some(grads[1].clone()));
        let expected: f64 = grads.iter().flat_map(numbers).map(|x| x * x).sum();
        let norm = grad_norm_squared(&set).unwrap();
        assert!((norm - expected).abs() < tolerance * expected, "{norm}, should be {expected}");

        scale_grads(&set, 0.5).unwrap();
        let halved = grad_norm_squared(&set).unwrap();
        assert!((halved - expected / 4.).abs() < tolerance * expected, "{halved}");
        assert_eq!(numbers(&grads[1])[0], 2. * numbers(&b.grad().unwrap())[0]);
    }
}

#[test]
fn many_small_numbers_are_not_lost() {
    let mut set = Parameters::new();
    let p =
        set.add("p", Tensor::zeros(1_000_000, DType::F32, &Device::Cpu).unwrap(), true).unwrap();
    p.set_grad(Some((p.value().detach().ones_like().unwrap() * 1e-3).unwrap()));
    assert!((grad_norm_squared(&set).unwrap() - 1.).abs() < 1e-6);
}
