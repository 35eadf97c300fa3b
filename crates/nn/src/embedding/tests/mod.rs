//! Tests of the embedding.

mod on_gpu;

use candle_core::{DType, Device, Tensor};

use super::Embedding;
use crate::oracle::{ALL_DTYPES, assert_agree, assert_derivative, numbers, parameter};
use crate::{Parameters, vjp};

fn layer(dtype: DType) -> (Parameters, Embedding) {
    let mut set = Parameters::new();
    let weight = parameter(&mut set, "embed_tokens.weight", &[5, 3], dtype);
    (set, Embedding::new(weight).unwrap())
}

fn ids() -> Tensor {
    Tensor::new(&[[4u32, 0, 4, 1], [2, 4, 0, 0]], &Device::Cpu).unwrap()
}

fn slow(embedding: &Embedding, ids: &Tensor) -> candle_core::Result<Tensor> {
    let rows = embedding.weight().value().index_select(&ids.flatten_all()?, 0)?;
    rows.reshape(ids.shape().clone().extend(&[3]))
}

#[test]
fn agrees_with_candles_operations() {
    for (dtype, tolerance) in ALL_DTYPES {
        let (set, embedding) = layer(dtype);
        for ids in [ids(), ids().to_dtype(DType::I64).unwrap(), ids().t().unwrap()] {
            assert_agree(
                &[],
                &set,
                tolerance,
                || embedding.forward(&ids),
                || slow(&embedding, &ids),
            );
        }
    }
}

#[test]
fn has_the_right_derivative() {
    let (set, embedding) = layer(DType::F64);
    assert_derivative(&[], &set, || embedding.forward(&ids()));
}

#[test]
fn gradients_of_microbatches_add_up_late() {
    let (set, embedding) = layer(DType::F32);
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let y = embedding.forward(&ids()).unwrap();
        let ones = y.detach().ones_like().unwrap();
        let (grads, late) = set.deferring(|| vjp(&[y], &[ones]).unwrap());
        assert_eq!(grads.get_ids().count(), 0);
        waiting.push(late);
    }
    assert!(embedding.weight().grad().is_none());
    waiting.into_iter().for_each(|late| late.run().unwrap());
    let counts: Vec<f64> = [9., 3., 3., 0., 9.].iter().flat_map(|&n| [n; 3]).collect();
    assert_eq!(numbers(&embedding.weight().grad().unwrap()), counts);
}

#[test]
fn the_row_of_the_padding_gets_no_gradient() {
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
        let (set, embedding) = layer(dtype);
        let embedding = embedding.with_padding(4).unwrap();
        let y = embedding.forward(&ids()).unwrap();
        assert_eq!(numbers(&y), numbers(&slow(&embedding, &ids()).unwrap()));
        let ones = y.ones_like().unwrap();
        vjp(&[y], std::slice::from_ref(&ones)).unwrap();
        let counts: Vec<f64> = [3., 1., 1., 0., 0.].iter().flat_map(|&n| [n; 3]).collect();
        assert_eq!(numbers(&embedding.weight().grad().unwrap()), counts);

        // Nothing but padding: the gradient is there, and zero.
        set.zero_grad();
        let padding = Tensor::new(&[[4u32; 4]; 2], &Device::Cpu).unwrap();
        vjp(&[embedding.forward(&padding).unwrap()], &[ones]).unwrap();
        assert_eq!(numbers(&embedding.weight().grad().unwrap()), [0.; 15]);
    }
    let (_, embedding) = layer(DType::F32);
    assert_eq!(
        embedding.with_padding(5).unwrap_err().to_string(),
        "the token id 5 is out of range: the vocabulary has 5 entries"
    );
}

#[test]
fn a_frozen_weight_is_no_variable() {
    let mut set = Parameters::new();
    let weight =
        set.add("w", Tensor::zeros((5, 3), DType::F32, &Device::Cpu).unwrap(), false).unwrap();
    assert!(!Embedding::new(weight).unwrap().forward(&ids()).unwrap().track_op());
}

#[test]
fn an_id_out_of_range_is_named() {
    let (_, embedding) = layer(DType::F32);
    let message = |ids: Tensor| embedding.forward(&ids).unwrap_err().to_string();
    let ids = Tensor::new(&[1u32, 5], &Device::Cpu).unwrap();
    assert_eq!(message(ids), "the token id 5 is out of range: the vocabulary has 5 entries");
    let ids = Tensor::new(&[-1i64], &Device::Cpu).unwrap();
    assert_eq!(message(ids), "the token id -1 is out of range: the vocabulary has 5 entries");
    let ids = Tensor::new(&[1f32], &Device::Cpu).unwrap();
    assert_eq!(message(ids), "the embedding takes ids of u32 or i64, got F32");
    let vector = parameter(&mut Parameters::new(), "v", &[4], DType::F32);
    assert!(Embedding::new(vector).is_err());
}
