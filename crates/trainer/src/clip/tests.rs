//! The coefficient, and the number that is named.

use autopipe_nn::Parameters;
use candle_core::{Device, Tensor};

use super::*;

#[test]
fn what_is_small_enough_stays() {
    assert_eq!(clip_coefficient(0.5, 1.0), 1.0);
    assert_eq!(clip_coefficient(0.0, 1.0), 1.0);
    assert!((clip_coefficient(4.0, 1.0) - 0.25).abs() < 1e-6);
    assert!(clip_coefficient(f64::NAN, 1.0).is_nan());
}

#[test]
fn the_first_by_name_is_named() {
    let mut set = Parameters::new();
    let mut add = |name: &str, grad: Option<f32>| {
        let value = Tensor::zeros(2, candle_core::DType::F32, &Device::Cpu).unwrap();
        let parameter = set.add(name, value, true).unwrap();
        parameter.set_grad(grad.map(|grad| Tensor::new(&[0.0, grad], &Device::Cpu).unwrap()));
    };
    add("d", Some(f32::NAN));
    add("b", Some(f32::INFINITY));
    add("a", Some(f32::MAX));
    add("c", None);
    assert_eq!(first_non_finite(&set).unwrap(), Some("b"));
    set.get("b").unwrap().set_grad(None);
    assert_eq!(first_non_finite(&set).unwrap(), Some("d"));
    set.get("d").unwrap().set_grad(None);
    assert_eq!(first_non_finite(&set).unwrap(), None);
}

#[test]
fn a_number_is_named_with_its_place() {
    let number = NonFiniteNumber::Gradient { parameter: "lm_head.weight".into() };
    let problem = NonFinite { step: 7, rank: 1, stage: 3, number };
    assert_eq!(
        problem.to_string(),
        "the gradient of `lm_head.weight` is not finite (step 7, rank 1, stage 3)"
    );
    let problem = NonFinite { number: NonFiniteNumber::Loss { loss: f64::NAN }, ..problem };
    assert_eq!(problem.to_string(), "the loss is NaN (step 7, rank 1, stage 3)");
}
