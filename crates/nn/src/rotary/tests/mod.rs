//! Tests of the rotary embedding.

mod on_gpu;

use candle_core::{D, DType, Device, Tensor};

use super::{RotaryEmbedding, Rotation};
use crate::Parameters;
use crate::oracle::{
    ALL_DTYPES, assert_agree, assert_close, assert_derivative, numbers, random, variable,
};

/// As Hugging Face's Llama writes it: `x cos + rotate_half(x) sin`, with cos and sin repeated.
fn slow(x: &Tensor, inv_freq: &[f32], positions: &Tensor) -> candle_core::Result<Tensor> {
    let inv_freq = Tensor::new(inv_freq, &Device::Cpu)?;
    let positions = positions.to_dtype(DType::F32)?;
    let angles = positions.unsqueeze(D::Minus1)?.broadcast_mul(&inv_freq)?;
    let angles = Tensor::cat(&[&angles, &angles], D::Minus1)?;
    let angles = if angles.rank() == 3 { angles.unsqueeze(1)? } else { angles };
    let (cos, sin) = (angles.cos()?.to_dtype(x.dtype())?, angles.sin()?.to_dtype(x.dtype())?);
    let half = x.dim(D::Minus1)? / 2;
    let rotated = Tensor::cat(
        &[&x.narrow(D::Minus1, half, half)?.neg()?, &x.narrow(D::Minus1, 0, half)?],
        D::Minus1,
    )?;
    x.broadcast_mul(&cos)? + rotated.broadcast_mul(&sin)?
}

#[test]
fn agrees_with_hugging_faces_form() {
    let rotary = RotaryEmbedding::with_theta(6, 100.).unwrap();
    let shared = Tensor::new(&[3u32, 4, 5, 6], &Device::Cpu).unwrap();
    let packed = Tensor::new(&[[0i64, 1, 0, 1], [5, 6, 7, 8]], &Device::Cpu).unwrap();
    for (dtype, tolerance) in ALL_DTYPES {
        for positions in [&shared, &packed] {
            let none = Parameters::new();
            let x = variable(&[2, 3, 4, 6], 1, dtype);
            let rotation = rotary.rotation(positions, dtype).unwrap();
            let expected = || slow(&x, rotary.inv_freq(), positions);
            assert_agree(&[&x], &none, tolerance, || rotation.apply(&x), expected);

            // As it comes from a projection: heads between positions; and with a stride of the last.
            let x = variable(&[2, 4, 3, 6], 1, dtype);
            let view = || x.transpose(1, 2);
            let expected = || slow(&view()?, rotary.inv_freq(), positions);
            assert_agree(&[&x], &none, tolerance, || rotation.apply(&view()?), expected);
            let x = variable(&[6, 4, 3, 3], 1, dtype);
            let view = || x.narrow(3, 1, 2)?.permute([3, 2, 1, 0]);
            let expected = || slow(&view()?, rotary.inv_freq(), positions);
            assert_agree(&[&x], &none, tolerance, || rotation.apply(&view()?), expected);
        }
    }
}

#[test]
fn rotations_of_parts_are_those_of_the_rows() {
    let (slow_turns, fast_turns) = (
        RotaryEmbedding::with_theta(6, 10_000.).unwrap(),
        RotaryEmbedding::with_theta(6, 100.).unwrap(),
    );
    let positions = |ids: &[u32]| Tensor::new(ids, &Device::Cpu).unwrap();
    let turn = |by: &RotaryEmbedding, ids: &[u32]| by.rotation(&positions(ids), DType::F64);
    // The second part begins in the first row and ends with the second one.
    let parts = [
        turn(&slow_turns, &[0, 1, 2]).unwrap(),
        turn(&fast_turns, &[0, 0, 1, 2]).unwrap(),
        turn(&slow_turns, &[0]).unwrap(),
    ];
    let x = random(&[2, 3, 4, 6], 1, DType::F64);
    let got = Rotation::of_rows(&parts, 2).unwrap().apply(&x).unwrap();
    let ids = Tensor::new(&[[0u32, 1, 2, 0], [0, 1, 2, 0]], &Device::Cpu).unwrap();
    let [slowly, fast] =
        [&slow_turns, &fast_turns].map(|by| by.rotation(&ids, DType::F64).unwrap().apply(&x));
    let (slowly, fast) = (slowly.unwrap(), fast.unwrap());
    for (row, token, turned) in
        [(0, 2, &slowly), (0, 3, &fast), (1, 0, &fast), (1, 2, &fast), (1, 3, &slowly)]
    {
        let part = |x: &Tensor| numbers(&x.get(row).unwrap().narrow(1, token, 1).unwrap());
        assert_eq!(part(&got), part(turned), "row {row}, token {token}");
    }

    let message =
        |parts: &[Rotation], rows| Rotation::of_rows(parts, rows).unwrap_err().to_string();
    assert_eq!(
        message(&parts, 3),
        "the rotary embedding takes positions of 3 rows of one length, got [8, 3]"
    );
    assert!(message(&parts, 0).contains("0 rows"));
    assert!(Rotation::of_rows(&[], 1).is_err());
}

#[test]
fn queries_and_keys_may_have_different_numbers_of_heads() {
    let rotary = RotaryEmbedding::with_theta(4, 10_000.).unwrap();
    let positions = Tensor::arange(0u32, 5, &Device::Cpu).unwrap();
    let (q, k) = (random(&[1, 4, 5, 4], 1, DType::F32), random(&[1, 2, 5, 4], 2, DType::F32));
    let (q2, k2) = rotary.forward(&q, &k, &positions).unwrap();
    assert_close("q", &q2, &slow(&q, rotary.inv_freq(), &positions).unwrap(), 1e-6);
    assert_close("k", &k2, &slow(&k, rotary.inv_freq(), &positions).unwrap(), 1e-6);
}

#[test]
fn the_product_of_query_and_key_depends_on_their_distance_only() {
    let rotary = RotaryEmbedding::with_theta(8, 50.).unwrap();
    let (q, k) = (random(&[1, 1, 1, 8], 1, DType::F64), random(&[1, 1, 1, 8], 2, DType::F64));
    let score = |at_q: u32, at_k: u32| {
        let turn = |x: &Tensor, at: u32| {
            let position = Tensor::new(&[at], &Device::Cpu).unwrap();
            numbers(&rotary.rotation(&position, DType::F64).unwrap().apply(x).unwrap())
        };
        turn(&q, at_q).iter().zip(turn(&k, at_k)).map(|(a, b)| a * b).sum::<f64>()
    };
    assert!((score(9, 4) - score(25, 20)).abs() < 1e-5);
    assert!((score(9, 4) - score(9, 5)).abs() > 1e-3);
}

#[test]
fn has_the_right_derivative() {
    let rotary = RotaryEmbedding::with_theta(4, 10.).unwrap();
    let positions = Tensor::arange(2u32, 5, &Device::Cpu).unwrap();
    let x = variable(&[1, 2, 3, 4], 1, DType::F64);
    let rotation = rotary.rotation(&positions, DType::F64).unwrap();
    assert_derivative(&[&x], &Parameters::new(), || rotation.apply(&x));
}

#[test]
fn a_wider_head_is_turned_in_part_and_a_factor_scales_what_is_turned() {
    let none = Parameters::new();
    let positions = Tensor::arange(3u32, 7, &Device::Cpu).unwrap();
    let plain = RotaryEmbedding::with_theta(6, 100.).unwrap();
    let rotary = plain.clone().with_factor(0.5);
    for (dtype, tolerance) in [ALL_DTYPES[0], ALL_DTYPES[1], ALL_DTYPES[2], (DType::F16, 5e-3)] {
        let rotation = rotary.rotation(&positions, dtype).unwrap();
        for rest in [0, 1, 4] {
            let x = variable(&[2, 4, 3, 6 + rest], 1, dtype);
            let view = || x.transpose(1, 2);
            let slow = || {
                let turned = slow(&view()?.narrow(3, 0, 6)?, rotary.inv_freq(), &positions)?;
                let turned = (turned * 0.5)?;
                if rest == 0 {
                    Ok(turned)
                } else {
                    Tensor::cat(&[turned, view()?.narrow(3, 6, rest)?], 3)
                }
            };
            assert_agree(&[&x], &none, tolerance, || rotation.apply(&view()?), slow);
        }
    }
    let x = variable(&[1, 2, 4, 9], 1, DType::F64);
    let rotation = rotary.rotation(&positions, DType::F64).unwrap();
    assert_derivative(&[&x], &none, || rotation.apply(&x));
    assert_eq!((plain.factor(), rotary.factor()), (1., 0.5));
}

#[test]
fn what_does_not_fit_is_named() {
    let message = RotaryEmbedding::with_theta(5, 10.).unwrap_err().to_string();
    assert_eq!(message, "head_dim must be even and below 65536, got 5");
    assert!(RotaryEmbedding::with_theta(4, 0.).is_err());
    let rotary = RotaryEmbedding::with_theta(4, 10.).unwrap();
    let positions = Tensor::arange(0u32, 3, &Device::Cpu).unwrap();
    let rotation = rotary.rotation(&positions, DType::F32).unwrap();
    let message = rotation.apply(&random(&[1, 2, 5, 4], 1, DType::F32)).unwrap_err().to_string();
    assert_eq!(
        message,
        "the rotary embedding takes heads of shape [batch, heads, 3, at least 4], got [1, 2, 5, 4]"
    );
    assert!(rotation.apply(&random(&[3, 4], 1, DType::F32)).is_err());
    assert!(rotation.apply(&random(&[1, 2, 3, 2], 1, DType::F32)).is_err());
    assert!(rotation.apply(&random(&[1, 2, 3, 4], 1, DType::F64)).is_err());
    assert!(rotary.rotation(&Tensor::new(1u32, &Device::Cpu).unwrap(), DType::F32).is_err());
}
