//! What ranks compute in parts is what one computes alone: what the tests share.

mod blocks;
mod cut;
mod failure;
mod vocabulary;

use std::sync::Arc;

use autopipe_nn::{Cut, Parameter, Parameters, TensorParallelGroup, init, vjp};
use candle_core::{DType, Device, Result, Tensor, Var};

type Group = Arc<dyn TensorParallelGroup>;

/// The dtypes that there are kernels for, and one that has none, with the error allowed.
const DTYPES: [(DType, f64); 4] =
    [(DType::F64, 1e-12), (DType::F32, 1e-5), (DType::BF16, 0.05), (DType::F16, 0.01)];

fn random(shape: &[usize], name: &str, dtype: DType) -> Tensor {
    init::normal(shape, 1., 5, name, dtype, &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn assert_close(what: &str, actual: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(actual.dims(), expected.dims(), "{what}");
    let (actual, expected) = (numbers(actual), numbers(expected));
    let size = expected.iter().fold(1f64, |size, x| size.max(x.abs()));
    for (a, e) in actual.iter().zip(&expected) {
        assert!((a - e).abs() <= tolerance * size, "{what}: {a} for {e}");
    }
}

/// What a rank has computed: the result, and the gradients by name, the input's first.
#[derive(Clone)]
struct Run {
    y: Tensor,
    grads: Vec<(String, Tensor, Option<Cut>)>,
}

/// The result of `f` of a variable and all gradients, for a fixed gradient of the result.
fn run(set: &Parameters, x: &Var, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Run {
    set.zero_grad();
    let y = f(x.as_tensor()).unwrap();
    let grad = random(y.dims(), "gradient", y.dtype());
    let (store, late) = set.deferring(|| vjp(std::slice::from_ref(&y), &[grad]));
    late.run().unwrap();
    let of_input = store.unwrap().get(x.as_tensor()).unwrap().clone();
    let of_weights = set.iter().map(|p| {
        let grad = p.grad().expect("every parameter has a gradient");
        (p.name().to_owned(), grad, p.cut().cloned())
    });
    let input = std::iter::once(("input".to_owned(), of_input, None));
    Run { y: y.detach(), grads: input.chain(of_weights).collect() }
}

/// Asserts that the ranks' results and gradients are the whole's, and that what is not cut is the
/// same on all of them to the bit.
#[track_caller]
fn assert_same(runs: &[Run], whole: &Run, tolerance: f64) {
    for run in runs {
        assert_eq!(numbers(&run.y), numbers(&runs[0].y));
    }
    assert_close("result", &runs[0].y, &whole.y, tolerance);
    for (i, (name, expected, _)) in whole.grads.iter().enumerate() {
        let parts: Vec<Tensor> = runs.iter().map(|run| run.grads[i].1.clone()).collect();
        let actual = match &runs[0].grads[i].2 {
            Some(cut) => cut.join(&parts).unwrap(),
            None => {
                parts
                    .iter()
                    .for_each(|part| assert_eq!(numbers(part), numbers(&parts[0]), "{name}"));
                parts[0].clone()
            }
        };
        assert_close(name, &actual, expected, tolerance);
    }
}

/// Adds a parameter whole, or this rank's part of it.
fn add(
    set: &mut Parameters,
    group: Option<&Group>,
    (name, shape, dtype): (&str, &[usize], DType),
    (dim, blocks): (usize, &[usize]),
) -> Parameter {
    let value = random(shape, name, dtype);
    let Some(group) = group else { return set.add(name, value, true).unwrap() };
    let (index, count) = (group.rank(), group.size());
    let cut = Cut::new(shape.into(), dim, blocks.to_vec(), index, count).unwrap();
    set.add_cut(name, cut.take(&value).unwrap(), true, cut).unwrap()
}
