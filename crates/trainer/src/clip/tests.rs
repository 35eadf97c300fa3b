//! torch's coefficient, the norm over ranks, and who is named when a gradient is not finite.

use candle_core::Device;

use super::*;

fn tensor(elements: &[f32]) -> Tensor {
    Tensor::new(elements, &Device::Cpu).unwrap()
}

fn alone(sum: f64) -> Result<f64, Error> {
    Ok(sum)
}

#[test]
fn the_coefficient_is_torchs() {
    for (norm, max_norm, expected) in [
        (5.0, 1.0, 1.0 / (5.0 + 1e-6)),
        (1.0, 1.0, 1.0 / (1.0 + 1e-6)), // torch scales a norm at the limit by a hair
        (0.5, 1.0, 1.0),
        (0.0, 1.0, 1.0),
        (0.0, 1e-7, 0.1),
        (3.0, 0.0, 0.0),
        (3.0, f64::INFINITY, 1.0),
    ] {
        assert!(
            (clip_coefficient(norm, max_norm) - expected).abs() < 1e-15,
            "{norm} to {max_norm}"
        );
    }
    assert!(clip_coefficient(f64::NAN, 1.0).is_nan());
}

#[test]
fn the_norm_is_over_all_ranks() {
    let others = |own| Ok(own + 16.0);
    assert_eq!(grad_norm(9.0, [], others).unwrap(), 5.0);
    assert_eq!(grad_norm(0.0, [], alone).unwrap(), 0.0);
}

#[test]
fn the_first_parameter_by_name_is_named() {
    let gradients = [
        ("layers.1.up", tensor(&[1.0, f32::NAN])),
        ("layers.0.up", tensor(&[f32::NEG_INFINITY, 1.0])),
        ("layers.0.down", tensor(&[1.0, 2.0])),
        ("layers.2.up", tensor(&[f32::NAN])),
    ];
    let error = grad_norm(f64::NAN, gradients, alone).unwrap_err();
    assert!(
        matches!(error, Error::NonFiniteGradient { ref parameter } if parameter == "layers.0.up"),
        "{error}"
    );
}

#[test]
fn the_rank_at_fault_speaks_before_it_answers_the_others() {
    let mut asked = false;
    let gradients = [("norm", tensor(&[f32::INFINITY]))];
    grad_norm(f64::INFINITY, gradients, |sum| {
        asked = true;
        Ok(sum)
    })
    .unwrap_err();
    assert!(!asked);
}

#[test]
fn gradients_are_found_in_every_shape_and_dtype() {
    for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
        let gradient =
            tensor(&[1.0, 2.0, 3.0, f32::NAN]).reshape((2, 2)).unwrap().to_dtype(dtype).unwrap();
        let error =
            grad_norm(f64::NAN, [("transposed", gradient.t().unwrap())], alone).unwrap_err();
        assert!(matches!(error, Error::NonFiniteGradient { .. }), "{dtype:?}: {error}");
    }
}

#[test]
fn finite_gradients_whose_squares_are_not() {
    let huge = Tensor::new(&[1e200_f64], &Device::Cpu).unwrap();
    let error = grad_norm(f64::INFINITY, [("huge", huge)], alone).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the gradients are too large for their norm to be computed (sum of squares inf); lower the learning rate"
    );
    let error = grad_norm(f64::MAX, [], |sum| Ok(sum + sum)).unwrap_err();
    assert!(matches!(error, Error::GradientOverflow { .. }), "{error}");
}

#[test]
fn a_failure_of_the_others_is_passed_on() {
    let error = grad_norm(1.0, [], |_| Err(Error::Zero { name: "ranks" })).unwrap_err();
    assert!(matches!(error, Error::Zero { name: "ranks" }));
}
