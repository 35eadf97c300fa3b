//! Tests of the gated activation.

use candle_core::DType;

use super::swiglu;
use crate::Parameters;
use crate::oracle::{ALL_DTYPES, assert_agree, assert_derivative, random, variable};

#[test]
fn agrees_with_candles_operations() {
    let none = Parameters::new();
    for (dtype, tolerance) in ALL_DTYPES {
        let (gate, up) = (variable(&[2, 3, 7], 1, dtype), variable(&[2, 3, 7], 2, dtype));
        let both = [&gate, &up];
        assert_agree(
            &both,
            &none,
            tolerance,
            || swiglu(&gate, &up),
            || gate.silu()? * up.as_tensor(),
        );
        let halves = variable(&[4, 14], 3, dtype);
        let view = |start| halves.narrow(1, start, 7)?.t();
        let slow = || view(0)?.silu()? * view(7)?;
        assert_agree(&[&halves], &none, tolerance, || swiglu(&view(0)?, &view(7)?), slow);
    }
}

#[test]
fn one_input_may_be_untracked_or_both_the_same() {
    let none = Parameters::new();
    let (x, plain) = (variable(&[9], 1, DType::F64), random(&[9], 2, DType::F64));
    assert_agree(&[&x], &none, 1e-12, || swiglu(&x, &plain), || x.silu()? * &plain);
    assert_agree(&[&x], &none, 1e-12, || swiglu(&plain, &x), || plain.silu()? * x.as_tensor());
    assert_agree(&[&x], &none, 1e-12, || swiglu(&x, &x), || x.silu()? * x.as_tensor());
}

#[test]
fn has_the_right_derivative() {
    let both = [variable(&[2, 3], 1, DType::F64), variable(&[2, 3], 2, DType::F64)];
    assert_derivative(&both.each_ref(), &Parameters::new(), || swiglu(&both[0], &both[1]));
}

#[test]
fn extreme_gates_stay_finite() {
    let gate =
        candle_core::Tensor::new(&[-1e4f32, -100., 100., 1e4], &candle_core::Device::Cpu).unwrap();
    let y = swiglu(&gate, &gate.ones_like().unwrap()).unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(y, [0., 0., 100., 1e4]);
}

#[test]
fn shapes_that_differ_are_refused() {
    let message = swiglu(&random(&[2], 1, DType::F32), &random(&[3], 1, DType::F32)).unwrap_err();
    assert_eq!(message.to_string(), "the gated activation takes two inputs of shape [2], got [3]");
    assert!(swiglu(&random(&[2], 1, DType::F32), &random(&[2], 1, DType::F64)).is_err());
}
