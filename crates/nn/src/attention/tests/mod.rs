//! Tests of attention: both forms against loops, and against each other.

mod by_rows;
mod on_gpu;
mod softcap;

use std::num::NonZeroUsize;

use candle_core::{DType, Device, Result, Tensor, Var};
use proptest::prelude::*;

use super::{Attention, Mask, Segments, composed};
use crate::Parameters;
use crate::oracle::{DTYPES, assert_agree, assert_close, assert_derivative, random, variable};

const SCALE: f64 = 0.37;

struct Extent {
    heads: usize,
    kv_heads: usize,
    queries: usize,
    keys: usize,
}

fn variables(extent: &Extent, dtype: DType) -> [Var; 3] {
    let kv = [2, extent.kv_heads, extent.keys, 6];
    [
        variable(&[2, extent.heads, extent.queries, 6], 1, dtype),
        variable(&kv, 2, dtype),
        variable(&kv, 3, dtype),
    ]
}

fn window(len: usize) -> Mask {
    Mask::SlidingWindow(NonZeroUsize::new(len).unwrap())
}

/// Whether query `i` sees key `j`.
fn sees(mask: Mask, i: usize, j: usize) -> bool {
    match mask {
        Mask::Full => true,
        Mask::Causal => j <= i,
        Mask::SlidingWindow(window) => j <= i && i < j + window.get(),
    }
}

fn composed(attention: &Attention, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    composed::forward(attention, [q, k, v], None)
}

/// Attention number by number.
fn loops(q: &Tensor, k: &Tensor, v: &Tensor, mask: Mask) -> Tensor {
    type Heads = Vec<Vec<Vec<f64>>>;
    let heads =
        |x: &Tensor, b: usize| x.get(b).unwrap().to_dtype(DType::F64).unwrap().to_vec3().unwrap();
    let (batch, num_heads, ..) = q.dims4().unwrap();
    let group = num_heads / k.dim(1).unwrap();
    let mut out = Vec::new();
    for b in 0..batch {
        let [q, k, v]: [Heads; 3] = [heads(q, b), heads(k, b), heads(v, b)];
        for (h, queries) in q.iter().enumerate() {
            for (i, query) in queries.iter().enumerate() {
                let keys = &k[h / group];
                let dot =
                    |key: &Vec<f64>| query.iter().zip(key).map(|(a, b)| a * b).sum::<f64>() * SCALE;
                let weight = |(j, key)| if sees(mask, i, j) { f64::exp(dot(key)) } else { 0. };
                let weights: Vec<f64> = keys.iter().enumerate().map(weight).collect();
                let total: f64 = weights.iter().sum();
                for d in 0..query.len() {
                    let sum: f64 = weights.iter().zip(&v[h / group]).map(|(w, v)| w * v[d]).sum();
                    out.push(sum / total);
                }
            }
        }
    }
    Tensor::from_vec(out, q.shape(), &Device::Cpu).unwrap()
}

#[test]
fn both_forms_agree_with_loops() {
    for mask in [Mask::Causal, Mask::Full, window(1), window(3), window(9)] {
        let attention = Attention::new(SCALE, mask);
        for (heads, kv_heads) in [(1, 1), (4, 2), (6, 1), (3, 3)] {
            let [q, k, v] = variables(&Extent { heads, kv_heads, queries: 5, keys: 5 }, DType::F64);
            let expected = loops(&q, &k, &v, mask);
            assert_close("fused", &attention.forward(&q, &k, &v).unwrap(), &expected, 1e-13);
            let composed = composed(&attention, &q, &k, &v).unwrap();
            assert_close("composed", &composed, &expected, 1e-13);
        }
    }
}

#[test]
fn the_fused_form_agrees_with_the_composed_one() {
    for (dtype, tolerance) in DTYPES {
        for (mask, queries, keys) in [
            (Mask::Causal, 1, 1),
            (Mask::Causal, 150, 150),
            (window(5), 150, 150),
            (window(70), 150, 150),
            (Mask::Full, 70, 33),
            (Mask::Full, 64, 64),
            (Mask::Full, 3, 600),
            (Mask::Causal, 300, 300),
            (window(20), 300, 300),
            (window(270), 300, 300),
        ] {
            let attention = Attention::new(SCALE, mask);
            let vars = variables(&Extent { heads: 4, kv_heads: 2, queries, keys }, dtype);
            let [q, k, v] = &vars;
            let slow = || composed(&attention, q, k, v);
            if keys == 1 {
                // One key has all the weight: neither it nor the query has a gradient.
                let y = attention.forward(q, k, v).unwrap();
                assert_close("output", &y, &slow().unwrap(), tolerance);
                continue;
            }
            assert_agree(
                &vars.each_ref(),
                &Parameters::new(),
                tolerance,
                || attention.forward(q, k, v),
                slow,
            );
        }
    }
}

#[test]
fn takes_strided_inputs() {
    for (dtype, tolerance) in DTYPES {
        let attention = Attention::new(SCALE, Mask::Causal);
        let packed = variable(&[2, 7, 8, 6], 1, dtype);
        let view = |start, heads| packed.narrow(2, start, heads)?.transpose(1, 2);
        let fused = || attention.forward(&view(0, 4)?, &view(4, 2)?, &view(6, 2)?);
        let slow = || composed(&attention, &view(0, 4)?, &view(4, 2)?, &view(6, 2)?);
        assert_agree(&[&packed], &Parameters::new(), tolerance, fused, slow);
        let turned = variable(&[6, 7, 4, 2], 2, dtype);
        let view = || turned.permute([3, 2, 1, 0]);
        let fused = || attention.forward(&view()?, &view()?, &view()?);
        let slow = || composed(&attention, &view()?, &view()?, &view()?);
        assert_agree(&[&turned], &Parameters::new(), tolerance, fused, slow);
    }
}

#[test]
fn takes_inputs_that_are_broadcast() {
    let attention = Attention::new(SCALE, Mask::Causal);
    let vars = [
        variable(&[2, 1, 7, 6], 1, DType::F64),
        variable(&[1, 2, 7, 6], 2, DType::F64),
        variable(&[2, 2, 7, 1], 3, DType::F64),
    ];
    let views = || -> Result<_> {
        let [q, k, v] = vars.each_ref();
        Ok([
            q.broadcast_as((2, 4, 7, 6))?,
            k.broadcast_as((2, 2, 7, 6))?,
            v.broadcast_as((2, 2, 7, 6))?,
        ])
    };
    let fused = || views().and_then(|[q, k, v]| attention.forward(&q, &k, &v));
    let slow = || views().and_then(|[q, k, v]| composed(&attention, &q, &k, &v));
    assert_agree(&vars.each_ref(), &Parameters::new(), 1e-12, fused, slow);
}

#[test]
fn has_the_right_derivative() {
    for mask in [Mask::Causal, Mask::Full, window(2)] {
        let attention = Attention::new(SCALE, mask);
        let vars = variables(&Extent { heads: 2, kv_heads: 1, queries: 3, keys: 3 }, DType::F64);
        assert_derivative(&vars.each_ref(), &Parameters::new(), || {
            attention.forward(&vars[0], &vars[1], &vars[2])
        });
    }
}

#[test]
fn inputs_may_be_untracked() {
    let attention = Attention::new(SCALE, Mask::Causal);
    let (x, var) = (random(&[1, 2, 4, 6], 9, DType::F64), variable(&[1, 2, 4, 6], 1, DType::F64));
    for place in 0..3 {
        let mut args = [&x; 3];
        args[place] = var.as_tensor();
        let [q, k, v] = args;
        let slow = || composed(&attention, q, k, v);
        assert_agree(&[&var], &Parameters::new(), 1e-12, || attention.forward(q, k, v), slow);
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let attention = Attention::new(1000., Mask::Causal);
    let q = random(&[1, 1, 9, 6], 1, DType::F32);
    let y = attention.forward(&q, &q, &q).unwrap();
    assert!(y.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().all(|y| y.is_finite()));
}

#[test]
fn half_precision_is_rounded_at_the_ends_only() {
    for mask in [Mask::Causal, window(40)] {
        let attention = Attention::new(SCALE, mask);
        let extent = Extent { heads: 4, kv_heads: 2, queries: 300, keys: 300 };
        let vars = variables(&extent, DType::BF16);
        let [q, k, v] = vars.each_ref().map(Var::as_tensor);
        let wide = |x: &Tensor| x.to_dtype(DType::F32);
        let slow = || composed(&attention, &wide(q)?, &wide(k)?, &wide(v)?)?.to_dtype(DType::BF16);
        let fused = || attention.forward(q, k, v);
        assert_agree(&vars.each_ref(), &Parameters::new(), 0.01, fused, slow);
    }
}

#[test]
fn the_form_without_a_kernel_works_in_half_precision_and_its_mask_follows_the_length() {
    let attention = Attention::new(SCALE, Mask::Causal);
    for len in [4, 4, 6] {
        let extent = Extent { heads: 4, kv_heads: 2, queries: len, keys: len };
        let [q, k, v] = &variables(&extent, DType::F16);
        let expected = loops(q, k, v, Mask::Causal);
        assert_close("f16", &attention.forward(q, k, v).unwrap(), &expected, 0.01);
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let attention = Attention::new(SCALE, Mask::Causal);
    let x = |heads, len, dim| random(&[1, heads, len, dim], 1, DType::F32);
    let message = |q, k, v| attention.forward(&q, &k, &v).unwrap_err().to_string();
    assert_eq!(
        message(x(4, 5, 6), x(3, 5, 6), x(3, 5, 6)),
        "the attention takes keys of shape [1, a divisor of 4, 5, 6], got [1, 3, 5, 6]"
    );
    assert!(message(x(4, 5, 6), x(2, 7, 6), x(2, 7, 6)).contains("a divisor of 4, 5, 6"));
    assert!(message(x(4, 5, 6), x(2, 5, 8), x(2, 5, 8)).contains("got [1, 2, 5, 8]"));
    assert_eq!(
        message(x(4, 5, 6), x(2, 5, 6), x(4, 5, 6)),
        "the attention takes values of the keys' shape [1, 2, 5, 6], got [1, 4, 5, 6]"
    );
    assert_eq!(
        attention.forward(&x(4, 5, 0), &x(4, 5, 0), &x(4, 5, 0)).unwrap().dims(),
        [1, 4, 5, 0]
    );
    let full = Attention::new(SCALE, Mask::Full);
    let message = full.forward(&x(4, 5, 6), &x(4, 0, 6), &x(4, 0, 6)).unwrap_err().to_string();
    assert_eq!(message, "the attention takes at least one key for 5 queries, got [1, 4, 0, 6]");
    let empty = x(4, 0, 6);
    assert_eq!(attention.forward(&empty, &empty, &empty).unwrap().dims(), [1, 4, 0, 6]);
}

/// Packed attention as one call for each document.
fn one_by_one(
    attention: &Attention,
    [q, k, v]: [&Tensor; 3],
    lengths: &[Vec<usize>],
) -> Result<Tensor> {
    let sequences = lengths.iter().enumerate().map(|(batch, lengths)| {
        let mut start = 0;
        let documents = lengths.iter().map(|&len| {
            let rows = |x: &Tensor| x.narrow(0, batch, 1)?.narrow(2, start, len);
            let y = composed(attention, &rows(q)?, &rows(k)?, &rows(v)?);
            start += len;
            y
        });
        Tensor::cat(&documents.collect::<Result<Vec<_>>>()?, 2)
    });
    Tensor::cat(&sequences.collect::<Result<Vec<_>>>()?, 0)
}

#[test]
fn packed_documents_do_not_see_each_other() {
    let none = Parameters::new();
    for mask in [Mask::Causal, Mask::Full, window(2), window(30)] {
        let attention = Attention::new(SCALE, mask);
        for lengths in [[vec![3, 1, 4], vec![8]], [vec![100, 30, 20], vec![1, 149]]] {
            let segments = Segments::from_lengths(&lengths).unwrap();
            let queries = segments.sequence_len();
            let extent = Extent { heads: 4, kv_heads: 2, queries, keys: queries };
            for (dtype, tolerance) in DTYPES {
                let vars = variables(&extent, dtype);
                let [q, k, v] = vars.each_ref().map(Var::as_tensor);
                let slow = || one_by_one(&attention, [q, k, v], &lengths);
                let fused = || attention.forward_packed(q, k, v, &segments);
                assert_agree(&vars.each_ref(), &none, tolerance, fused, slow);
                let composed = || composed::forward(&attention, [q, k, v], Some(&segments));
                assert_agree(&vars.each_ref(), &none, tolerance, composed, slow);
            }
        }
    }
}

#[test]
fn packed_attention_has_the_right_derivative() {
    let vars = variables(&Extent { heads: 2, kv_heads: 1, queries: 5, keys: 5 }, DType::F64);
    let segments = Segments::from_lengths(&[vec![2, 3], vec![4, 1]]).unwrap();
    for mask in [Mask::Causal, Mask::Full, window(2)] {
        let attention = Attention::new(SCALE, mask);
        assert_derivative(&vars.each_ref(), &Parameters::new(), || {
            attention.forward_packed(&vars[0], &vars[1], &vars[2], &segments)
        });
    }
}

#[test]
fn the_masks_of_segments_follow_layer_and_dtype() {
    let extent = Extent { heads: 1, kv_heads: 1, queries: 4, keys: 4 };
    let lengths = [vec![3, 1], vec![2, 2]];
    let segments = Segments::from_lengths(&lengths).unwrap();
    for dtype in [DType::F16, DType::F64, DType::F16] {
        let vars = variables(&extent, dtype);
        let args = vars.each_ref().map(Var::as_tensor);
        for mask in [Mask::Causal, window(2), Mask::Causal, Mask::Full] {
            let attention = Attention::new(SCALE, mask);
            let packed = composed::forward(&attention, args, Some(&segments)).unwrap();
            let slow = one_by_one(&attention, args, &lengths).unwrap();
            assert_close("packed", &packed, &slow, 1e-3);
        }
    }
}

#[test]
fn segments_are_lengths_or_offsets() {
    let segments = Segments::from_offsets(&[vec![0, 0, 2, 5, 5], vec![0, 5]]).unwrap();
    assert_eq!((segments.num_sequences(), segments.sequence_len()), (2, 5));
    let positions = segments.positions(&Device::Cpu).unwrap();
    assert_eq!(positions.to_vec2::<u32>().unwrap(), [[0, 1, 0, 1, 2], [0, 1, 2, 3, 4]]);
    assert_eq!(
        Segments::from_lengths(&[]).unwrap().positions(&Device::Cpu).unwrap().dims(),
        [0, 0]
    );

    let message = Segments::from_lengths(&[vec![2, 3], vec![5], vec![4]]).unwrap_err().to_string();
    assert_eq!(
        message,
        "the sequences of a batch have one length, the segments add up to [5, 5, 4]"
    );
    let offsets = [vec![0, 3, 2], vec![0, 2], vec![1, 2], vec![]];
    assert_eq!(
        Segments::from_offsets(&offsets).unwrap_err().to_string(),
        "segment offsets begin with 0 and never fall, got [[0, 3, 2], [1, 2], []]"
    );
    assert!(Segments::from_lengths(&[vec![usize::MAX, 2], vec![1]]).is_err());
}

#[test]
fn segments_of_another_batch_are_refused() {
    let attention = Attention::new(SCALE, Mask::Full);
    let x = random(&[1, 2, 4, 6], 1, DType::F32);
    for lengths in [vec![vec![5]], vec![vec![4], vec![4]], vec![]] {
        let segments = Segments::from_lengths(&lengths).unwrap();
        assert!(attention.forward_packed(&x, &x, &x, &segments).is_err());
    }
    let segments = Segments::from_lengths(&[vec![5]]).unwrap();
    assert_eq!(
        attention.forward_packed(&x, &x, &x, &segments).unwrap_err().to_string(),
        "the attention takes queries [1, heads, 5, ..] with these segments, got [1, 2, 4, 6]"
    );
    let segments = Segments::from_lengths(&[vec![2, 2]]).unwrap();
    let longer = random(&[1, 2, 5, 6], 1, DType::F32);
    assert!(attention.forward_packed(&x, &longer, &longer, &segments).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_forms_agree_for_any_extent(
        (kv_heads, group, keys, queries) in (1..4usize, 1..4usize, 2..140usize, 1..140usize),
        mask in prop_oneof![Just(Mask::Causal), Just(Mask::Full), (2..90usize).prop_map(window)],
    ) {
        let queries = if mask == Mask::Full { queries } else { keys };
        let attention = Attention::new(SCALE, mask);
        let vars = variables(&Extent { heads: kv_heads * group, kv_heads, queries, keys }, DType::F64);
        let [q, k, v] = &vars;
        let slow = || composed(&attention, q, k, v);
        assert_agree(&[q, k, v], &Parameters::new(), 1e-12, || attention.forward(q, k, v), slow);
    }
}
