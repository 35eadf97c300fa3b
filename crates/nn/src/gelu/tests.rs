//! Tests of both forms of GELU.

use candle_core::{DType, Device, Result, Tensor};

use super::exact::Exact;
use super::tanh::Tanh;
use super::{Gelu, geglu, gelu};
use crate::Parameters;
use crate::activation::Activation;
use crate::oracle::{
    ALL_DTYPES, assert_agree, assert_close, assert_derivative, numbers, random, variable,
};

const FORMS: [Gelu; 2] = [Gelu::Exact, Gelu::Tanh];

fn slow(x: &Tensor, form: Gelu) -> Result<Tensor> {
    match form {
        Gelu::Exact => Exact.composed(x),
        Gelu::Tanh => Tanh.composed(x),
    }
}

#[test]
fn agrees_with_candles_operations() {
    let none = Parameters::new();
    for (dtype, tolerance) in ALL_DTYPES {
        for form in FORMS {
            let x = variable(&[2, 3, 37], 1, dtype);
            assert_agree(&[&x], &none, tolerance, || gelu(&x, form), || slow(&x, form));
            let view = || x.narrow(2, 1, 5)?.transpose(0, 2);
            assert_agree(&[&x], &none, tolerance, || gelu(&view()?, form), || slow(&view()?, form));
        }
    }
}

#[test]
fn as_a_gate_it_agrees_too() {
    let none = Parameters::new();
    for (dtype, tolerance) in ALL_DTYPES {
        for form in FORMS {
            let (gate, up) = (variable(&[2, 37], 1, dtype), variable(&[2, 37], 2, dtype));
            assert_agree(
                &[&gate, &up],
                &none,
                tolerance,
                || geglu(&gate, &up, form),
                || slow(&gate, form)? * up.as_tensor(),
            );
            let plain = random(&[2, 37], 3, dtype);
            let slow = || slow(&plain, form)? * up.as_tensor();
            assert_agree(&[&up], &none, tolerance, || geglu(&plain, &up, form), slow);
        }
    }
}

#[test]
fn the_form_without_a_kernel_computes_in_float32() {
    for form in FORMS {
        let (x, up) = (variable(&[50], 1, DType::F16), variable(&[50], 2, DType::F16));
        let none = Parameters::new();
        let wide = |x: &Tensor| x.to_dtype(DType::F32);
        let slow = || gelu(&wide(&x)?, form)?.to_dtype(DType::F16);
        assert_agree(&[&x], &none, 1e-3, || gelu(&x, form), slow);
        let slow = || geglu(&wide(&x)?, &wide(&up)?, form)?.to_dtype(DType::F16);
        assert_agree(&[&x, &up], &none, 2e-3, || geglu(&x, &up, form), slow);
    }
}

#[test]
fn has_the_right_derivative() {
    let both = [variable(&[2, 9], 1, DType::F64), variable(&[2, 9], 2, DType::F64)];
    let none = Parameters::new();
    for form in FORMS {
        assert_derivative(&[&both[0]], &none, || gelu(&both[0], form));
        assert_derivative(&both.each_ref(), &none, || geglu(&both[0], &both[1], form));
    }
}

/// The expected ones are the formulas' with thirty digits.
#[test]
fn gives_the_numbers_of_the_formula() {
    let x = Tensor::new(&[-3f64, -1., -0.5, 0., 0.5, 1., 3.], &Device::Cpu).unwrap();
    let exact = [
        -0.004_049_694_094_890_283_5,
        -0.158_655_253_931_457_05,
        -0.154_268_769_362_993_44,
        0.,
        0.345_731_230_637_006_56,
        0.841_344_746_068_542_9,
        2.995_950_305_905_11,
    ];
    let tanh = [
        -0.003_637_392_081_773_019,
        -0.158_808_009_391_723_3,
        -0.154_285_990_174_856_09,
        0.,
        0.345_714_009_825_143_94,
        0.841_191_990_608_276_7,
        2.996_362_607_918_227,
    ];
    for (form, expected) in [(Gelu::Exact, exact), (Gelu::Tanh, tanh)] {
        let expected = Tensor::new(&expected, &Device::Cpu).unwrap();
        assert_close("gelu", &gelu(&x, form).unwrap(), &expected, 1e-15);
    }
}

#[test]
fn the_forms_differ_as_little_as_the_documentation_says() {
    let x = Tensor::arange_step(-8., 8., 0.01, &Device::Cpu).unwrap();
    let difference = (gelu(&x, Gelu::Exact).unwrap() - gelu(&x, Gelu::Tanh).unwrap()).unwrap();
    let largest = numbers(&difference).into_iter().fold(0f64, |largest, d| largest.max(d.abs()));
    assert!((0.0004..0.0005).contains(&largest), "{largest}");
}

#[test]
fn extreme_numbers_stay_finite_in_both_directions() {
    for form in FORMS {
        let x = Tensor::new(&[f32::MIN, -1e20, -100., 100., 1e20, f32::MAX], &Device::Cpu).unwrap();
        let x = candle_core::Var::from_tensor(&x).unwrap();
        let y = gelu(&x, form).unwrap();
        let grads = y.backward().unwrap();
        assert_eq!(y.to_vec1::<f32>().unwrap(), [0., 0., 0., 100., 1e20, f32::MAX]);
        assert_eq!(numbers(grads.get(&x).unwrap()), [0., 0., 0., 1., 1., 1.]);
        let nan = gelu(&Tensor::new(f32::NAN, &Device::Cpu).unwrap(), form).unwrap();
        assert!(nan.to_scalar::<f32>().unwrap().is_nan());
    }
}

#[test]
fn what_does_not_fit_is_named() {
    for form in FORMS {
        let (x, y) = (random(&[2], 1, DType::F32), random(&[3], 1, DType::F32));
        let message = geglu(&x, &y, form).unwrap_err().to_string();
        assert_eq!(message, "the gated activation takes two inputs of shape [2], got [3]");
        assert!(geglu(&x, &random(&[2], 1, DType::F64), form).is_err());
        let whole = Tensor::new(&[1u32], &Device::Cpu).unwrap();
        let message = gelu(&whole, form).unwrap_err().to_string();
        assert_eq!(message, "the activation takes floating-point numbers, got U32");
        assert!(geglu(&whole, &whole, form).is_err());
    }
}
