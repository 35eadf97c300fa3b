//! Blocks whose matrices are cut, and parameters of which every rank has all.

use std::sync::Arc;

use autopipe_nn::{
    Cut, Linear, Parameters, Recomputed, RmsNorm, Routing, add_bias, enter, leave, recompute,
    swiglu,
};
use candle_core::{DType, Device, Tensor, Var};

use super::{DTYPES, Group, Run, add, assert_same, numbers, random, run};
use crate::threads::ranks;

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
