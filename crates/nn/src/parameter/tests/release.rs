//! Tests of numbers that are given up and come back.

use candle_core::{DType, Device, Result, Tensor};

use super::{random, tensor};
use crate::optim::{MasterWeights, Optimizer, SgdConfig};
use crate::oracle::numbers;
use crate::{Embedding, Linear, Parameters, RmsNorm};

const DTYPES: [DType; 4] = [DType::F32, DType::F64, DType::BF16, DType::F16];

#[test]
fn numbers_come_back_where_they_were() {
    for dtype in DTYPES {
        let mut set = Parameters::new();
        let value = random(&[3, 4], 1).to_dtype(dtype).unwrap();
        let p = set.add("p", value.clone(), true).unwrap();
        let (held, outside) = (p.value().clone(), p.value().t().unwrap().detach());
        let flat = value.flatten_all().unwrap();
        let slices = [(0, 5), (5, 0), (5, 7)].map(|(at, len)| flat.narrow(0, at, len).unwrap());
        for _ in 0..2 {
            p.release().unwrap();
            p.release().unwrap();
            assert!(p.is_released());
            assert_eq!((p.shape().dims(), p.dtype()), (&[3, 4][..], dtype));
            p.restore(&slices).unwrap();
            assert!(!p.is_released());
            assert_eq!(numbers(&held), numbers(&value));
            assert_eq!(numbers(&outside), numbers(&value.t().unwrap()));
        }
        // In place of those that are there.
        p.restore(&[flat.affine(2., 0.).unwrap()]).unwrap();
        assert_eq!(numbers(&held), numbers(&value.affine(2., 0.).unwrap()));
        p.release().unwrap();
        assert!((held.get(0).unwrap() * 2.).is_err());
    }
}

#[test]
fn a_strided_slice_is_taken_in_its_order() {
    let mut set = Parameters::new();
    let p = set.add("p", tensor(&[0.; 4]), true).unwrap();
    let grid = tensor(&[1., 2., 3., 4.]).reshape((2, 2)).unwrap();
    p.restore(&[grid.t().unwrap()]).unwrap();
    assert_eq!(numbers(p.value()), [1., 3., 2., 4.]);
}

/// A network of which some weights are in layers and one is in a plain product.
fn gradients(between: impl Fn(&Parameters)) -> Vec<Vec<f64>> {
    let mut set = Parameters::new();
    let mut add = |name: &str, seed| set.add(name, random(&[4, 4], seed), true).unwrap();
    let (layer, plain) = (Linear::new(add("layer", 2), None).unwrap(), add("plain", 3));
    let x = random(&[2, 4], 4);
    let y = layer.forward(&x).unwrap().tanh().unwrap().matmul(&plain.value().t().unwrap()).unwrap();
    let y = layer.forward(&y).unwrap().sqr().unwrap().sum_all().unwrap();
    between(&set);
    set.collect(&mut y.backward().unwrap()).unwrap();
    set.iter().map(|p| numbers(&p.grad().unwrap())).collect()
}

#[test]
fn a_graph_goes_backward_with_what_came_back() {
    let whole = gradients(|_| {});
    let restored = gradients(|set| {
        let values: Vec<Tensor> =
            set.iter().map(|p| p.value().force_contiguous().unwrap()).collect();
        set.iter().for_each(|p| p.release().unwrap());
        for (p, value) in set.iter().zip(values) {
            p.restore(&[value]).unwrap();
        }
    });
    assert_eq!(whole, restored);
}

#[test]
fn whoever_computes_with_released_numbers_gets_an_error() {
    for dtype in DTYPES {
        let mut set = Parameters::new();
        let mut add = |name: &str, shape: &[usize]| {
            set.add(name, random(shape, 5).to_dtype(dtype).unwrap(), true).unwrap()
        };
        let (p, other, gain) = (add("p", &[4, 4]), add("other", &[4, 4]), add("gain", &[4]));
        let x = random(&[4, 4], 6).to_dtype(dtype).unwrap();
        let ids = Tensor::new(&[1u32, 0], &Device::Cpu).unwrap();
        let linear = Linear::new(p.clone(), None).unwrap();
        let embedding = Embedding::new(p.clone()).unwrap();
        let norm = RmsNorm::new(gain.clone(), 1e-6).unwrap();
        for p in [&p, &other, &gain] {
            p.release().unwrap();
        }
        let (w, v) = (p.value(), other.value());
        let uses: Vec<(&str, Result<Tensor>)> = vec![
            ("matmul left", w.matmul(&x)),
            ("matmul right", x.matmul(w)),
            ("matmul both", w.matmul(v)),
            ("add", x.broadcast_add(gain.value())),
            ("mul", w * &x),
            ("add both", w + v),
            ("affine", w * 2.),
            ("tanh", w.tanh()),
            ("sum", w.sum_all()),
            ("max", w.max(0)),
            ("transposed copy", w.t().unwrap().contiguous()),
            ("row", w.get(1).and_then(|row| row.force_contiguous())),
            ("cat", Tensor::cat(&[w, v], 0)),
            ("stack", Tensor::stack(&[w, &x], 0)),
            ("rows", w.index_select(&ids, 0)),
            ("compare", w.lt(&x)),
            ("select", x.lt(&x).unwrap().where_cond(w, &x)),
            ("dtype", w.to_dtype(DType::I64)),
            ("sum of products", w.broadcast_mul(gain.value())),
            ("linear", linear.forward(&x)),
            ("embedding", embedding.forward(&ids)),
            ("norm", norm.forward(&x)),
        ];
        for (what, result) in uses {
            assert!(result.is_err(), "{what} of {dtype:?}");
        }
        assert!(w.flatten_all().unwrap().to_vec1::<f32>().is_err());
        // A copy has as little.
        assert!((w.copy().unwrap() * 2.).is_err());
        p.accumulate(&x).unwrap();
        for masters in [MasterWeights::Float32, MasterWeights::None] {
            let optimizer = Optimizer::new(SgdConfig::default(), Vec::new()).unwrap();
            let mut optimizer = optimizer.with_master_weights(masters);
            assert!(optimizer.step(&set, 0.1).is_err(), "{dtype:?}");
        }
    }
}

#[test]
fn a_backward_with_released_numbers_is_an_error() {
    let mut set = Parameters::new();
    let p = set.add("p", random(&[4, 4], 7), true).unwrap();
    let x = random(&[2, 4], 8);
    let hidden = x.matmul(p.value()).unwrap();
    let y = hidden.matmul(p.value()).unwrap().sum_all().unwrap();
    p.release().unwrap();
    assert!(y.backward().is_err());
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut set = Parameters::new();
    let p = set.add("p", tensor(&[1., 2.]), true).unwrap();
    let frozen = set.add("frozen", tensor(&[1.]), false).unwrap();
    let error = p.restore(&[tensor(&[1., 2.]), tensor(&[3.])]).unwrap_err();
    let words = "`p` has 2 numbers of F32, got slices with 3 and F32";
    assert_eq!(error.to_string(), words);
    let wide = tensor(&[3.]).to_dtype(DType::F64).unwrap();
    let error = p.restore(&[tensor(&[1.]), wide]).unwrap_err();
    assert_eq!(error.to_string(), "`p` has 2 numbers of F32, got slices with 2 and F64");
    assert_eq!(numbers(p.value()), [1., 2.]);
    let error = frozen.release().unwrap_err().to_string();
    assert!(error.contains("`frozen` cannot be given up or exchanged: it is frozen"), "{error}");
    assert!(!frozen.is_released());
    p.release().unwrap();
    assert!(p.restore(&[]).is_err() && p.is_released());
    // What is given up cannot be what others are restored from.
    let q = set.add("q", tensor(&[5., 6.]), true).unwrap();
    assert!(q.restore(&[p.value().clone()]).is_err());
    assert_eq!(numbers(q.value()), [5., 6.]);
}
