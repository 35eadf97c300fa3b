//! Tests of slices, and of what optimisers make of them.

use candle_core::{DType, Tensor};

use super::{random, tensor};
use crate::Parameters;
use crate::optim::{AdamWConfig, LionConfig, Optimizer, Rule, SgdConfig, State};
use crate::oracle::numbers;

/// A matrix, a vector, and one with fewer numbers than there are slices; of half precision too.
fn whole(dtype: DType) -> Parameters {
    let mut set = Parameters::new();
    for (name, shape) in [("matrix", &[5, 14][..]), ("vector", &[9]), ("few", &[1, 2])] {
        set.add(name, random(shape, 9).to_dtype(dtype).unwrap(), true).unwrap();
    }
    set
}

/// Uneven slices, one of them empty.
fn sliced(set: &Parameters) -> Vec<Parameters> {
    let bounds = |n: usize| [0, n / 3, n / 3, n - 1, n];
    let slice = |i: usize| {
        set.slices(|p| Some(bounds(p.num_elements())[i]..bounds(p.num_elements())[i + 1]))
    };
    (0..4).map(|i| slice(i).unwrap()).collect()
}

fn joined<'a>(parts: impl Iterator<Item = &'a Tensor>) -> Vec<f64> {
    parts.flat_map(numbers).collect()
}

#[test]
fn slices_learn_what_the_whole_would() {
    let rules: [Rule; 4] = [
        AdamWConfig { weight_decay: 0.3, ..AdamWConfig::default() }.into(),
        SgdConfig { weight_decay: 0.3, ..SgdConfig::default() }.into(),
        SgdConfig { momentum: 0.9, weight_decay: 0.3, ..SgdConfig::default() }.into(),
        LionConfig { weight_decay: 0.3, ..LionConfig::default() }.into(),
    ];
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
        for rule in rules {
            let set = whole(dtype);
            let slices = sliced(&set);
            let new = || Optimizer::new(rule, Vec::new()).unwrap();
            let mut optimizer = new();
            let mut of_slices: Vec<Optimizer> = slices.iter().map(|_| new()).collect();
            for step in 0..3 {
                for p in &set {
                    p.set_grad(Some(random(p.shape().dims(), 10 + step)));
                }
                optimizer.step(&set, 0.1).unwrap();
                for (slices, optimizer) in slices.iter().zip(&mut of_slices) {
                    for (slice, p) in slices.iter().zip(&set) {
                        let grad = p.grad().unwrap().flatten_all().unwrap();
                        let range = slice.range();
                        slice.set_grad(Some(grad.narrow(0, range.start, range.len()).unwrap()));
                    }
                    optimizer.step(slices, 0.1).unwrap();
                }
            }
            for p in &set {
                let what = format!("{} of {dtype:?} under {rule:?}", p.name());
                let of = |set: &Parameters| set.get(p.name()).unwrap().value().clone();
                let values: Vec<Tensor> = slices.iter().map(of).collect();
                assert_eq!(joined(values.iter()), numbers(p.value()), "{what}");
                let state = optimizer.state(p.name()).unwrap().unwrap();
                let states: Vec<State> =
                    of_slices.iter().map(|o| o.state(p.name()).unwrap().unwrap()).collect();
                for (name, tensor) in &state.tensors {
                    let parts = states.iter().map(|state| &state.tensors[name]);
                    assert_eq!(joined(parts), numbers(tensor), "{name}, {what}");
                }
                // A slice's state is loaded where the slice is.
                let slice = slices[3].get(p.name()).unwrap();
                new().load_state(slice, &states[3]).unwrap();
            }
        }
    }
}

#[test]
fn a_slice_has_numbers_and_a_gradient_of_its_own() {
    let mut set = Parameters::new();
    let p = set.add("p", tensor(&[1., 2., 3., 4.]).reshape((2, 2)).unwrap(), true).unwrap();
    let other = set.add("other", tensor(&[7.]), true).unwrap();
    let slices = set.slices(|p| (p.name() == "p").then_some(1..4)).unwrap();
    let slice = slices.get("p").unwrap();
    assert!(slice.is_slice() && !p.is_slice());
    p.release().unwrap();
    assert_eq!(numbers(slice.value()), [2., 3., 4.]);
    slice.accumulate(&tensor(&[1., 1., 1.])).unwrap();
    assert!(p.grad().is_none());
    // The rest is shared.
    slices.get("other").unwrap().accumulate(&tensor(&[1.])).unwrap();
    assert_eq!(numbers(&other.grad().unwrap()), [1.]);
    assert_eq!(other.range(), 0..1);
    // A slice of a slice knows where it is in the whole.
    let last = slices.slices(|p| (p.name() == "p").then_some(2..3)).unwrap();
    let last = last.get("p").unwrap();
    assert_eq!((last.range(), last.whole_shape().dims()), (3..4, &[2, 2][..]));
    assert_eq!(numbers(last.value()), [4.]);
}

#[test]
fn a_slice_that_is_not_there_is_refused() {
    let mut set = Parameters::new();
    set.add("frozen", tensor(&[1., 2.]), false).unwrap();
    let error = set.slices(|_| Some(0..1)).unwrap_err().to_string();
    assert!(error.contains("`frozen` is frozen"), "{error}");
    let p = set.add("p", tensor(&[1., 2.]), true).unwrap();
    let only = |range: std::ops::Range<usize>| {
        set.slices(move |p| (p.name() == "p").then_some(range.clone())).map(drop)
    };
    assert_eq!(only(1..3).unwrap_err().to_string(), "`p` has 2 numbers, and no slice 1..3");
    assert!(only(std::ops::Range { start: 2, end: 1 }).is_err());
    only(2..2).unwrap();
    p.release().unwrap();
    assert!(only(0..2).is_err());
}
