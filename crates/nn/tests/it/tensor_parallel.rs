//! What ranks compute in parts is what one computes alone.

use std::sync::Arc;

use autopipe_nn::{
    Combine, Cut, Embedding, IGNORE_INDEX, Linear, Parameter, Parameters, Pass, Recomputed,
    RmsNorm, Routing, TensorParallelGroup, add_bias, cross_entropy_sum, cross_entropy_sum_among,
    enter, init, leave, recompute, swiglu, vjp,
};
use candle_core::{DType, Device, Result, Tensor, Var, bail};

use crate::threads::ranks;

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
        let grad = p.grad().unwrap_or_else(|| panic!("{} has no gradient", p.name()));
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

/// A gated block of 7 inner numbers, gate and up in one matrix, with all biases; recomputed or not.
fn gated(group: Option<&Group>, dtype: DType, is_recomputed: bool) -> Run {
    let mut set = Parameters::new();
    let gate_up = add(&mut set, group, ("gate_up", &[14, 4], dtype), (0, &[7, 7]));
    let inner_bias = add(&mut set, group, ("gate_up.bias", &[14], dtype), (0, &[7, 7]));
    let down = add(&mut set, group, ("down", &[4, 7], dtype), (1, &[7]));
    let bias = set.add("down.bias", random(&[4], "down.bias", dtype), true).unwrap();
    let gate_up = Linear::new(gate_up, Some(inner_bias)).unwrap();
    let down = Linear::new(down, None).unwrap();
    let group = group.cloned();
    let f: Recomputed = Arc::new(move |x| {
        let x = group.as_ref().map_or(Ok(x.clone()), |group| enter(x, group))?;
        let both = gate_up.forward(&x)?;
        let inner = both.dim(1)? / 2;
        let (gate, up) = (both.narrow(1, 0, inner)?, both.narrow(1, inner, inner)?);
        let y = down.forward(&swiglu(&gate, &up)?)?;
        add_bias(&group.as_ref().map_or(Ok(y.clone()), |group| leave(&y, group))?, &bias)
    });
    let x = Var::from_tensor(&random(&[5, 4], "x", dtype)).unwrap();
    if is_recomputed {
        return run(&set, &x, |x| recompute(&set, x, Arc::clone(&f)));
    }
    run(&set, &x, |x| f(x))
}

#[test]
fn a_gated_block_in_parts_is_the_whole_one() {
    for (dtype, tolerance) in DTYPES {
        let whole = gated(None, dtype, false);
        for size in [1, 2, 3, 7] {
            let runs = ranks(size, |group| gated(Some(group), dtype, false));
            assert_same(&runs, &whole, tolerance);
            let again = ranks(size, |group| gated(Some(group), dtype, true));
            for (again, run) in again.iter().zip(&runs) {
                for ((name, again, _), (_, grad, _)) in again.grads.iter().zip(&run.grads) {
                    assert_eq!(numbers(again), numbers(grad), "{name}");
                }
            }
        }
    }
}

/// A norm of each head, and a matrix over all heads of which every rank has the whole.
fn heads(group: Option<&Group>, dtype: DType) -> Run {
    let mut set = Parameters::new();
    let mut whole = |name: &str, shape: &[usize]| {
        let value = random(shape, name, dtype);
        match group {
            Some(group) => set.add_summed(name, value, true, group).unwrap(),
            None => set.add(name, value, true).unwrap(),
        }
    };
    let norm = RmsNorm::new(whole("norm", &[4]), 1e-5).unwrap();
    let linear = Linear::new(whole("w", &[3, 4]), Some(whole("b", &[3]))).unwrap();
    let x = Var::from_tensor(&random(&[6, 5, 4], "x", dtype)).unwrap();
    run(&set, &x, |x| {
        let Some(group) = group else { return linear.forward(&norm.forward(x)?)?.sum(0) };
        let cut = Cut::new(x.shape().clone(), 0, vec![6], group.rank(), group.size())?;
        let own = cut.ranges().next().unwrap();
        let own = enter(x, group)?.narrow(0, own.start, own.len())?;
        leave(&linear.forward(&norm.forward(&own)?)?.sum(0)?, group)
    })
}

#[test]
fn a_parameter_of_all_ranks_sums_what_each_sees_of_its_gradient() {
    for (dtype, tolerance) in DTYPES {
        let whole = heads(None, dtype);
        for size in [2, 4] {
            assert_same(&ranks(size, |group| heads(Some(group), dtype)), &whole, tolerance);
        }
    }
}

#[test]
fn whatever_is_added_to_a_gradient_is_summed_and_what_is_set_is_not() {
    ranks(2, |group| {
        let mut set = Parameters::new();
        let ones = Tensor::ones(3, DType::F32, &Device::Cpu).unwrap();
        let weight = set.add_summed("w", ones.clone(), true, group).unwrap();
        assert_eq!(weight.sum_over().unwrap().rank(), group.rank());
        let mine = (&ones * (1. + group.rank() as f64)).unwrap();
        weight.accumulate(&mine).unwrap();
        // By candle's own graph.
        let y = (weight.value() * &mine).unwrap().sum_all().unwrap();
        set.collect(&mut y.backward().unwrap()).unwrap();
        assert_eq!(numbers(&weight.grad().unwrap()), [6.; 3]);
        // A slice is given gradients that are whole.
        let slices = set.slices(|_| Some(0..2)).unwrap();
        assert!(slices.get("w").unwrap().sum_over().is_none());
        weight.set_grad(Some(mine.clone()));
        assert_eq!(numbers(&weight.grad().unwrap()), numbers(&mine));
        assert!(weight.accumulate(&mine.narrow(0, 0, 2).unwrap()).is_err());
    });
}

const VOCAB: usize = 7;

fn embedded(group: Option<&Group>, dtype: DType, ids: &Tensor, padding: Option<usize>) -> Run {
    let mut set = Parameters::new();
    let weight = add(&mut set, group, ("embed", &[VOCAB, 3], dtype), (0, &[VOCAB]));
    let embedding = match group {
        Some(group) => Embedding::among(weight, group).unwrap(),
        None => Embedding::new(weight).unwrap(),
    };
    let embedding = match padding {
        Some(id) => embedding.with_padding(id).unwrap(),
        None => embedding,
    };
    // An input of a kind, as ids have no gradient.
    let x = Var::from_tensor(&random(&[3], "x", dtype)).unwrap();
    run(&set, &x, |x| embedding.forward(ids)?.broadcast_mul(x))
}

#[test]
fn an_embedding_in_parts_is_the_whole_one() {
    let some = Tensor::new(&[[6u32, 0, 4], [0, 3, 1]], &Device::Cpu).unwrap();
    // Of one rank only; and of none but the padding's.
    let first = Tensor::new(&[[0i64, 1, 0]], &Device::Cpu).unwrap();
    for (dtype, tolerance) in DTYPES {
        for (ids, padding) in [(&some, None), (&some, Some(4)), (&first, None), (&first, Some(0))] {
            let whole = embedded(None, dtype, ids, padding);
            for size in [1, 2, 3, 7] {
                let runs = ranks(size, |group| embedded(Some(group), dtype, ids, padding));
                assert_same(&runs, &whole, tolerance);
            }
        }
    }
}

#[test]
fn an_embedding_in_parts_refuses_what_the_whole_one_does() {
    ranks(2, |group| {
        let mut set = Parameters::new();
        let weight = add(&mut set, Some(group), ("w", &[VOCAB, 3], DType::F32), (0, &[VOCAB]));
        let embedding = Embedding::among(weight, group).unwrap();
        let ids = Tensor::new(&[1u32, 7], &Device::Cpu).unwrap();
        assert_eq!(
            embedding.forward(&ids).unwrap_err().to_string(),
            "the token id 7 is out of range: the vocabulary has 7 entries"
        );
        assert!(embedding.with_padding(7).is_err());
        let other = add(&mut set, Some(group), ("v", &[VOCAB, 4], DType::F32), (1, &[4]));
        assert_eq!(
            Embedding::among(other, group).unwrap_err().to_string(),
            "an embedding among ranks needs a weight cut along its rows, `v` is not"
        );
    });
}

fn labels() -> Tensor {
    Tensor::new(&[[3i64, IGNORE_INDEX, 10], [0, 7, IGNORE_INDEX]], &Device::Cpu).unwrap()
}

/// The loss of logits of 11 classes and their gradient.
fn loss(logits: &Tensor, group: Option<&Group>, width: &[usize]) -> Result<(Tensor, Tensor)> {
    let (start, len) = match group {
        Some(group) => (width[..group.rank()].iter().sum(), width[group.rank()]),
        None => (0, 11),
    };
    let own = Var::from_tensor(&logits.narrow(2, start, len)?)?;
    let loss = match group {
        Some(group) => cross_entropy_sum_among(&own, &labels(), group)?,
        None => cross_entropy_sum(&own, &labels())?,
    };
    let grads = (&loss * 0.25)?.backward()?;
    Ok((loss.detach(), grads.get(&own).unwrap().clone()))
}

#[test]
fn the_loss_of_classes_in_parts_is_that_of_all() {
    for (dtype, tolerance) in DTYPES {
        // Large ones, so that a sum of exponentials without the maximum of all ranks overflows.
        let logits = (random(&[2, 3, 11], "logits", dtype) * 60.).unwrap();
        let (expected, grad) = loss(&logits, None, &[]).unwrap();
        for widths in [&[6, 5][..], &[4, 4, 3], &[11], &[1, 0, 10]] {
            let parts = ranks(widths.len(), |group| loss(&logits, Some(group), widths).unwrap());
            for (loss, _) in &parts {
                assert_eq!((loss.dtype(), numbers(loss)), (expected.dtype(), numbers(&parts[0].0)));
                assert_close("loss", loss, &expected, tolerance);
            }
            let grads: Vec<Tensor> = parts.into_iter().map(|(_, grad)| grad).collect();
            assert_close("gradient", &Tensor::cat(&grads, 2).unwrap(), &grad, tolerance);
        }
    }
}

#[test]
fn a_loss_in_parts_has_the_errors_and_the_nan_of_the_whole() {
    for dtype in [DType::F64, DType::F32, DType::BF16] {
        let row = random(&[1, 1, 11], "logits", dtype);
        let nan = (&row * f64::NAN).unwrap();
        // The second and the last position are ignored.
        let ignored = Tensor::cat(&[&row, &nan, &row, &row, &row, &nan], 1).unwrap();
        let ignored = ignored.reshape((2, 3, 11)).unwrap();
        let spoiled = Tensor::cat(&[&nan, &row, &row, &row, &row, &row], 1).unwrap();
        let spoiled = spoiled.reshape((2, 3, 11)).unwrap();
        let (expected, _) = loss(&ignored, None, &[]).unwrap();
        for (loss, _) in ranks(2, |group| loss(&ignored, Some(group), &[6, 5]).unwrap()) {
            assert_close("loss", &loss, &expected, 1e-6);
        }
        for (loss, _) in ranks(2, |group| loss(&spoiled, Some(group), &[6, 5]).unwrap()) {
            assert!(numbers(&loss)[0].is_nan());
        }
    }
    let logits = random(&[2, 5], "logits", DType::F32);
    let messages = ranks(2, |group| {
        let message = |labels: &Tensor| {
            cross_entropy_sum_among(&logits, labels, group).unwrap_err().to_string()
        };
        let labels = Tensor::new(&[3u32, 10], &Device::Cpu).unwrap();
        [message(&labels), message(&labels.narrow(0, 0, 1).unwrap())]
    });
    for [label, shape] in messages {
        assert!(label.starts_with("the label 10 is out of range: the logits have 10 classes"));
        assert!(shape.starts_with("the cross entropy takes logits of shape [1, classes]"));
    }
}

/// Two of four experts, each a gated block's half; the router has a balance loss.
fn experts(group: Option<&Group>, dtype: DType) -> Run {
    let mut set = Parameters::new();
    let router = set.add("router", random(&[4, 3], "router", dtype), true).unwrap();
    let router = Linear::new(router, None).unwrap();
    let experts: Vec<[Linear; 2]> = (0..4)
        .map(|i| {
            let (up, down) = (format!("{i}.up"), format!("{i}.down"));
            let up = add(&mut set, group, (&up, &[5, 3], dtype), (0, &[5]));
            let down = add(&mut set, group, (&down, &[3, 5], dtype), (1, &[5]));
            [Linear::new(up, None).unwrap(), Linear::new(down, None).unwrap()]
        })
        .collect();
    let x = Var::from_tensor(&random(&[20, 3], "x", dtype)).unwrap();
    run(&set, &x, |x| {
        let routing = Routing::top_k(&router.forward(x)?, 2, true)?.with_balance_loss(2, 0.5)?;
        let expert =
            |i: usize, rows: &Tensor| experts[i][1].forward(&experts[i][0].forward(rows)?.tanh()?);
        match group {
            Some(group) => {
                leave(&routing.among(group)?.apply(&enter(x, group)?, 4, expert)?, group)
            }
            None => routing.apply(x, 4, expert),
        }
    })
}

#[test]
fn experts_in_parts_are_the_whole_ones_and_balance_counts_once() {
    for (dtype, tolerance) in &DTYPES[..2] {
        let whole = experts(None, *dtype);
        for size in [2, 3] {
            assert_same(&ranks(size, |group| experts(Some(group), *dtype)), &whole, *tolerance);
        }
    }
}

#[test]
fn parts_are_taken_and_joined_along_any_dimension() {
    let whole = random(&[6, 7, 3], "whole", DType::F32);
    for (dim, blocks) in [(0, &[6][..]), (0, &[4, 1, 1]), (1, &[5, 2]), (2, &[3]), (2, &[0, 3])] {
        for count in [1, 2, 3, 5] {
            let cuts: Vec<Cut> = (0..count)
                .map(|i| Cut::new(whole.shape().clone(), dim, blocks.to_vec(), i, count).unwrap())
                .collect();
            let parts: Vec<Tensor> = cuts.iter().map(|cut| cut.take(&whole).unwrap()).collect();
            for (cut, part) in cuts.iter().zip(&parts) {
                assert_eq!((part.shape(), cut.whole_shape()), (&cut.shape(), whole.shape()));
                assert!(part.is_contiguous());
                assert_eq!(part.storage_and_layout().1.start_offset(), 0);
                assert_eq!(cuts[0].of_index(cut.index()).unwrap(), *cut);
            }
            let joined = cuts[count - 1].join(&parts).unwrap();
            assert_eq!(numbers(&joined), numbers(&whole), "{dim} {blocks:?} {count}");
            // The first ranks have what is left over.
            let widths: Vec<usize> = cuts.iter().map(|cut| cut.shape().dims()[dim]).collect();
            assert!(widths.is_sorted_by(|a, b| a >= b), "{widths:?}");
        }
    }
}

#[test]
fn what_is_no_cut_is_refused() {
    let whole = random(&[6, 7], "whole", DType::F32);
    let cut = |dim, blocks: &[usize], index, count| {
        Cut::new(whole.shape().clone(), dim, blocks.to_vec(), index, count)
    };
    let message =
        |result: std::result::Result<Cut, autopipe_nn::Error>| result.unwrap_err().to_string();
    for (dim, blocks) in [(2, &[6][..]), (0, &[5]), (0, &[usize::MAX, 7]), (2, &[]), (0, &[])] {
        assert_eq!(
            message(cut(dim, blocks, 0, 1)),
            format!("a tensor of shape [6, 7] has no dimension {dim} that is blocks of {blocks:?}")
        );
    }
    for (index, count) in [(0, 0), (2, 2)] {
        let expected = format!(
            "a tensor cut among {count} ranks has no part {index}; they are counted from 0"
        );
        assert_eq!(message(cut(0, &[6], index, count)), expected);
    }
    let first = cut(1, &[7], 0, 2).unwrap();
    assert!(first.of_index(2).is_err());
    let other = whole.t().unwrap();
    assert_eq!(
        first.take(&other).unwrap_err().to_string(),
        "the whole tensor has shape [7, 6], by the cut it is [6, 7]"
    );
    let part = first.take(&whole).unwrap();
    assert_eq!(
        first.join(std::slice::from_ref(&part)).unwrap_err().to_string(),
        "a tensor cut among 2 ranks is not 1 parts"
    );
    assert_eq!(
        first.join(&[part.clone(), part]).unwrap_err().to_string(),
        "a part has shape [6, 4], by the cut it is [6, 3]"
    );
    assert_eq!(
        Parameters::new().add_cut("w", whole.clone(), true, first).unwrap_err().to_string(),
        "a parameter's value has shape [6, 7], by the cut it is [6, 4]"
    );
}

#[test]
fn slices_of_parts_are_put_together_in_two_steps() {
    let whole = random(&[5, 3], "whole", DType::F32);
    let parts: Vec<Tensor> = (0..2)
        .map(|index| {
            let cut = Cut::new(whole.shape().clone(), 0, vec![5], index, 2).unwrap();
            let mut set = Parameters::new();
            let part = cut.take(&whole).unwrap();
            let len = part.elem_count();
            let of_all = set.add_cut("w", part, true, cut.clone()).unwrap();
            let half = |range| set.slices(|_| Some(std::ops::Range::clone(&range))).unwrap();
            let slices = [half(0..4), half(4..len)];
            let flat: Vec<Tensor> = slices
                .iter()
                .map(|slices| {
                    let slice = slices.get("w").unwrap();
                    assert_eq!((slice.cut(), slice.whole_shape()), (Some(&cut), of_all.shape()));
                    slice.value().clone()
                })
                .collect();
            Tensor::cat(&flat, 0).unwrap().reshape(of_all.shape()).unwrap()
        })
        .collect();
    let cut = Cut::new(whole.shape().clone(), 0, vec![5], 0, 2).unwrap();
    assert_eq!(numbers(&cut.join(&parts).unwrap()), numbers(&whole));
}

/// A group that has lost a rank.
#[derive(Debug)]
struct Broken {
    /// Whether the forward still works.
    from_backward: bool,
}

impl TensorParallelGroup for Broken {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        2
    }

    fn all_reduce(&self, tensor: &Tensor, _: Combine, pass: Pass) -> Result<Tensor> {
        match pass {
            Pass::Forward if self.from_backward => Ok(tensor.clone()),
            Pass::Forward | Pass::Backward => bail!("rank 1 is gone"),
        }
    }
}

#[test]
fn a_group_that_fails_is_an_error() {
    let group: Group = Arc::new(Broken { from_backward: false });
    let x = Var::from_tensor(&random(&[2, 4], "x", DType::F32)).unwrap();
    let is_told = |error: candle_core::Error| error.to_string().contains("rank 1 is gone");
    assert!(is_told(leave(&x, &group).unwrap_err()));
    let labels = Tensor::new(&[0u32, 1], &Device::Cpu).unwrap();
    assert!(is_told(cross_entropy_sum_among(&x, &labels, &group).unwrap_err()));
    let mut set = Parameters::new();
    let weight = add(&mut set, Some(&group), ("e", &[4, 3], DType::F32), (0, &[4]));
    let embedding = Embedding::among(weight, &group).unwrap();
    assert!(is_told(embedding.forward(&labels).unwrap_err()));

    let group: Group = Arc::new(Broken { from_backward: true });
    let y = leave(&enter(&x, &group).unwrap().sqr().unwrap(), &group).unwrap();
    assert!(is_told(y.sum_all().unwrap().backward().unwrap_err()));
    let weight = set.add_summed("w", random(&[3, 4], "w", DType::F32), true, &group).unwrap();
    let linear = Linear::new(weight.clone(), None).unwrap();
    let y = linear.forward(&x).unwrap().sum_all().unwrap();
    let (grads, late) = set.deferring(|| y.backward());
    grads.unwrap();
    assert!(is_told(late.run().unwrap_err()));
    assert!(weight.grad().is_none());
}

#[test]
fn without_a_backward_nothing_is_remembered() {
    ranks(2, |group| {
        let mut set = Parameters::new();
        let weight = add(&mut set, Some(group), ("w", &[4, 6], DType::F32), (1, &[6]));
        let linear = Linear::new(weight, None).unwrap();
        let x = random(&[2, 3], "x", DType::F32);
        let y = || leave(&linear.forward(&enter(&x, group)?)?, group);
        assert!(y().unwrap().track_op());
        assert!(!set.no_grad(y).unwrap().track_op());
    });
}
