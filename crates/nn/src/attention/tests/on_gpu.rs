//! Attention as a GPU computes it is that of the CPU's kernels.

use candle_core::{CpuStorage, Shape};

use super::*;
use crate::attention::by_rows::Rule;
use crate::attention::by_rows::on_gpu::{OnGpu, softmax, softmax_grad};
use crate::gpu::{DTYPES as EVERY_DTYPE, Given, Grid, make, read, tensor};
use crate::oracle::numbers;
use crate::vjp;

/// The result and the gradients of queries, keys and values.
fn run(vars: &[Var; 3], attend: impl Fn([&Tensor; 3]) -> Result<Tensor>) -> [Tensor; 4] {
    let [q, k, v] = vars.each_ref().map(Var::as_tensor);
    let y = attend([q, k, v]).unwrap();
    let grads = vjp(std::slice::from_ref(&y), &[random(y.dims(), 9, y.dtype())]).unwrap();
    let grad = |x: &Tensor| grads.get(x).expect("every input has a gradient").clone();
    [y.detach(), grad(q), grad(k), grad(v)]
}

/// With so many rows at a time.
#[track_caller]
fn check(attention: &Attention, segments: Option<&Segments>, num_rows: usize, vars: &[Var; 3]) {
    let expected = run(vars, |[q, k, v]| match segments {
        Some(segments) => attention.forward_packed(q, k, v, segments),
        None => attention.forward(q, k, v),
    });
    let actual = run(vars, |[q, k, v]| {
        let rule = Rule::new(num_rows, attention, [q, k], segments)?;
        rule.attend(OnGpu::<CpuStorage>::default(), [q, k, v])
    });
    let dtype = vars[0].dtype();
    let tolerance = match dtype {
        DType::F64 => 1e-12,
        DType::BF16 => 1e-2,
        _ => 1e-5,
    };
    let names = ["result", "gradient of q", "gradient of k", "gradient of v"];
    for ((actual, expected), name) in actual.iter().zip(&expected).zip(names) {
        assert_eq!((actual.dims(), actual.dtype()), (expected.dims(), dtype), "{name}");
        let (actual, expected) = (numbers(actual), numbers(expected));
        let size = expected.iter().fold(0f64, |size, x| size.max(x.abs()));
        assert!(size > 0., "{name} is zero");
        for (i, (a, e)) in actual.iter().zip(&expected).enumerate() {
            let is_close = (a - e).abs() <= tolerance * size;
            assert!(is_close, "{name}, number {i}, {num_rows} rows in {dtype:?}: {a}, not {e}");
        }
    }
}

#[test]
fn every_mask_on_a_gpu_is_that_of_the_cpu() {
    for (mask, queries, keys) in
        [(Mask::Causal, 7, 7), (window(3), 7, 7), (Mask::Full, 3, 7), (Mask::Full, 5, 2)]
    {
        for dtype in EVERY_DTYPE {
            let vars = variables(&Extent { heads: 4, kv_heads: 2, queries, keys }, dtype);
            for num_rows in [2, 100] {
                check(&Attention::new(SCALE, mask), None, num_rows, &vars);
            }
        }
    }
}

#[test]
fn bounded_scores_on_a_gpu_are_those_of_the_cpu() {
    for dtype in EVERY_DTYPE {
        let vars = variables(&Extent { heads: 2, kv_heads: 1, queries: 6, keys: 6 }, dtype);
        for mask in [Mask::Causal, Mask::Full] {
            check(&Attention::new(SCALE, mask).with_softcap(0.8), None, 4, &vars);
        }
    }
}

#[test]
fn packed_documents_on_a_gpu_do_not_see_each_other() {
    let segments = Segments::from_lengths(&[vec![3, 1, 4], vec![8]]).unwrap();
    for dtype in EVERY_DTYPE {
        let vars = variables(&Extent { heads: 4, kv_heads: 2, queries: 8, keys: 8 }, dtype);
        for mask in [Mask::Causal, Mask::Full, window(2)] {
            check(&Attention::new(SCALE, mask), Some(&segments), 3, &vars);
        }
    }
}

/// More keys than a block has threads, and keys whose numbers are not side by side.
#[test]
fn long_rows_on_a_gpu_are_those_of_the_cpu() {
    for dtype in EVERY_DTYPE {
        let vars = variables(&Extent { heads: 1, kv_heads: 1, queries: 2, keys: 300 }, dtype);
        check(&Attention::new(SCALE, Mask::Full), None, 1, &vars);
    }
    let [q, k, v] = variables(&Extent { heads: 6, kv_heads: 6, queries: 2, keys: 6 }, DType::F64);
    let attention = Attention::new(SCALE, Mask::Full);
    let turned = [&q, &k, &v].map(|x| x.transpose(1, 2).unwrap());
    let [q, k, v] = [turned[0].transpose(1, 2).unwrap(), turned[1].clone(), turned[2].clone()];
    let rule = Rule::new(1, &attention, [&q, &k], None).unwrap();
    let y = rule.attend(OnGpu::<CpuStorage>::default(), [&q, &k, &v]).unwrap();
    assert_close("result", &y, &attention.forward(&q, &k, &v).unwrap(), 1e-12);
}

/// The same layer with other numbers of keys and by the other form: what it keeps is not taken for theirs.
#[test]
fn what_is_seen_is_kept_for_the_same_only() {
    let attention = Attention::new(SCALE, Mask::Full);
    for keys in [5, 9, 5] {
        let vars = variables(&Extent { heads: 1, kv_heads: 1, queries: 3, keys }, DType::F64);
        check(&attention, None, 2, &vars);
    }
    let attention = Attention::new(SCALE, Mask::Causal);
    for queries in [4, 6] {
        let extent = Extent { heads: 1, kv_heads: 1, queries, keys: queries };
        let vars = variables(&extent, DType::F64);
        check(&attention, None, 2, &vars);
        composed(&attention, &vars[0], &vars[1], &vars[2]).unwrap();
        check(&attention, None, 2, &vars);
    }
}

/// Keys from the third on: the first row sees two of them, the second one ended before, and what the third
/// one sees comes later.
#[test]
fn a_row_that_sees_no_key_gives_nothing() {
    let device = Device::Cpu;
    let products = Tensor::new(&[[1f32, 1., 7., 7.], [2., 3., 4., 5.], [2., 3., 4., 5.]], &device);
    let grads = Tensor::new(&[[3f32, 1., 9., 9.], [1., 2., 3., 4.], [1., 2., 3., 4.]], &device);
    let seen = Tensor::new(&[[0u32, 4], [2, 2], [6, 7]], &device).unwrap();
    let (products, grads) = (products.unwrap(), grads.unwrap());
    let (counts, factors) = ([3, 4, 3, 3, 3, 0, 2, 0], [0.5, 1.]);
    let (grid, shape) = (Grid::of_rows(3, 4), Shape::from((3, 4)));
    let [forward] = read::<CpuStorage, _, 2>([&products, &seen], |reads| {
        make(
            &softmax(DType::F32),
            [&shape],
            &Given { grid, reads: &reads, counts: &counts, factors: &factors },
        )
    })
    .unwrap();
    let [weights, grads] = read::<CpuStorage, _, 3>([&products, &grads, &seen], |reads| {
        make(
            &softmax_grad(DType::F32),
            [&shape, &shape],
            &Given { grid, reads: &reads, counts: &counts, factors: &factors },
        )
    })
    .unwrap();
    let rows = |made| tensor(made, &shape).to_vec2::<f32>().unwrap();
    let expected = [[0.5, 0.5, 0., 0.], [0.; 4], [0.; 4]];
    assert_eq!(
        (rows(forward), rows(weights)),
        (expected.map(Vec::from).into(), expected.map(Vec::from).into())
    );
    // Half of what is scaled by a half, one more and one less than the mean.
    assert_eq!(rows(grads), [[0.25, -0.25, 0., 0.], [0.; 4], [0.; 4]]);
}
