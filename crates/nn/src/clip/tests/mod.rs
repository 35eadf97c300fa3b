//! Tests of the gradient norm.

mod on_gpu;

use candle_core::{DType, Device, Tensor};

use super::{grad_norm_max, grad_norm_squared, scale_grads};
use crate::Parameters;
use crate::oracle::{numbers, parameter, random};

#[test]
fn the_norm_is_over_all_gradients_there_are() {
    // Of the last there is no kernel of our own.
    let dtypes = [DType::F32, DType::F64, DType::BF16, DType::F16];
    for (dtype, tolerance) in dtypes.into_iter().zip([1e-6, 1e-12, 1e-2, 1e-3]) {
        let mut set = Parameters::new();
        let (a, b) =
            (parameter(&mut set, "a", &[3, 7], dtype), parameter(&mut set, "b", &[5], dtype));
        parameter(&mut set, "without", &[5], dtype);
        let empty = parameter(&mut set, "empty", &[0], dtype);
        empty.set_grad(Some(random(&[0], 3, dtype)));
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

#[test]
fn the_largest_number_of_all_gradients_counts() {
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
        let mut set = Parameters::new();
        let (a, b) =
            (parameter(&mut set, "a", &[9, 7], dtype), parameter(&mut set, "b", &[5], dtype));
        parameter(&mut set, "without", &[5], dtype);
        let empty = parameter(&mut set, "empty", &[0], dtype);
        assert_eq!(grad_norm_max(&set).unwrap(), 0.);
        let grads = [random(&[7, 9], 1, dtype).t().unwrap(), random(&[5], 2, dtype)];
        a.set_grad(Some(grads[0].clone()));
        b.set_grad(Some(grads[1].clone()));
        empty.set_grad(Some(random(&[0], 3, dtype)));
        let expected = grads.iter().flat_map(numbers).fold(0f64, |max, x| max.max(x.abs()));
        assert_eq!(grad_norm_max(&set).unwrap(), expected, "{dtype:?}");
        for (value, place) in [(f64::NAN, 2), (f64::NAN, 60), (f64::NEG_INFINITY, 40)] {
            let mut spoilt = numbers(&grads[0]);
            spoilt[place] = value;
            let spoilt = Tensor::new(spoilt, &Device::Cpu).unwrap().reshape((9, 7)).unwrap();
            a.set_grad(Some(spoilt.to_dtype(dtype).unwrap()));
            let norm = grad_norm_max(&set).unwrap();
            assert!(norm.is_nan() == value.is_nan() && !norm.is_finite(), "{dtype:?}: {norm}");
        }
    }
}
