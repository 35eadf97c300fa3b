//! Tests of the mixture of experts: against every expert on every token, and small steps.

use std::cell::RefCell;

use candle_core::{D, DType, Device, Result, Tensor, Var};

use super::Routing;
use crate::oracle::{
    assert_agree, assert_close, assert_derivative, numbers, parameter, random, variable,
};
use crate::{Linear, Parameters, vjp};

const EXPERTS: usize = 5;

/// A linear layer for each expert.
fn experts(dtype: DType) -> (Parameters, Vec<Linear>) {
    let mut set = Parameters::new();
    let mut linear = |i: usize| {
        Linear::new(parameter(&mut set, &format!("experts.{i}"), &[4, 3], dtype), None).unwrap()
    };
    let experts = (0..EXPERTS).map(&mut linear).collect();
    (set, experts)
}

/// Every expert on every token, by candle's own operations.
fn slow(
    logits: &Tensor,
    x: &Tensor,
    routing: &Routing,
    normalise: bool,
    experts: &[Linear],
) -> Result<Tensor> {
    let (num_tokens, num_experts) = logits.dims2()?;
    let wide = if logits.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let exp = logits.to_dtype(wide)?.exp()?;
    let mut weights = exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?;
    let k = routing.experts().len() / num_tokens;
    let mut chosen = vec![0f32; num_tokens * num_experts];
    for (i, &expert) in routing.experts().iter().enumerate() {
        chosen[i / k * num_experts + expert as usize] = 1.;
    }
    let chosen = Tensor::from_vec(chosen, logits.shape(), &Device::Cpu)?.to_dtype(wide)?;
    weights = (weights * chosen)?;
    if normalise {
        weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
    }
    let mut y: Option<Tensor> = None;
    for (i, expert) in experts.iter().enumerate() {
        let weight = weights.narrow(1, i, 1)?;
        let part = expert.forward(x)?.to_dtype(wide)?.broadcast_mul(&weight)?;
        y = Some(match y {
            Some(y) => (y + part)?,
            None => part,
        });
    }
    y.unwrap().to_dtype(x.dtype())
}

fn inputs(num_tokens: usize, dtype: DType) -> [Var; 2] {
    [variable(&[num_tokens, EXPERTS], 1, dtype), variable(&[num_tokens, 3], 2, dtype)]
}

#[test]
fn agrees_with_every_expert_on_every_token() {
    for (dtype, tolerance) in
        [(DType::F32, 2e-5), (DType::F64, 1e-12), (DType::BF16, 0.03), (DType::F16, 5e-3)]
    {
        let (set, linears) = experts(dtype);
        for (k, normalise) in [(1, false), (2, true), (3, false), (EXPERTS, true)] {
            let [logits, x] = inputs(40, dtype);
            let route = || Routing::top_k(&logits, k, normalise);
            let fast = || route()?.apply(&x, EXPERTS, |i, rows| linears[i].forward(rows));
            let slow = || slow(&logits, &x, &route()?, normalise, &linears);
            assert_agree(&[&logits, &x], &set, tolerance, fast, slow);
        }
    }
}

#[test]
fn has_the_right_derivative() {
    let (set, linears) = experts(DType::F64);
    for (k, normalise) in [(2, true), (3, false)] {
        let [logits, x] = inputs(12, DType::F64);
        assert_derivative(&[&logits, &x], &set, || {
            let routing = Routing::top_k(&logits, k, normalise)?;
            routing.apply(&x, EXPERTS, |i, rows| linears[i].forward(rows)?.sqr())
        });
    }
}

#[test]
fn the_largest_are_chosen_and_of_equal_ones_the_first() {
    let logits = [[1f32, 3., 2., 3.], [0., 0., 0., 0.], [-1., -2., f32::NEG_INFINITY, -1.]];
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
        let logits = Tensor::new(&logits, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let routing = Routing::top_k(&logits, 3, false).unwrap();
        assert_eq!(routing.experts(), [1, 3, 2, 0, 1, 2, 0, 3, 1]);
        assert_eq!(routing.weights().dtype(), dtype);
        let weights = numbers(&routing.weights().get(1).unwrap());
        assert_eq!(weights, [0.25; 3]);
    }
    let nan = Tensor::new(&[[f32::NAN, 1., f32::NAN, f32::NAN]], &Device::Cpu).unwrap();
    let mut chosen = Routing::top_k(&nan, 3, true).unwrap().experts().to_vec();
    chosen.sort_unstable();
    chosen.dedup();
    assert_eq!(chosen.len(), 3, "three different experts whatever the numbers");
}

#[test]
fn normalised_weights_have_the_sum_one() {
    let logits = random(&[30, EXPERTS], 3, DType::F64);
    let sums = |normalise| {
        let routing = Routing::top_k(&logits, 2, normalise).unwrap();
        numbers(&routing.weights().sum(1).unwrap())
    };
    assert!(sums(true).iter().all(|sum| (sum - 1.).abs() < 1e-12));
    assert!(sums(false).iter().all(|&sum| sum < 0.999));
}

#[test]
fn an_expert_without_tokens_is_not_called() {
    for dtype in [DType::F32, DType::F16] {
        let (set, linears) = experts(dtype);
        let rows = [[9f32, 0., 8., 0., 0.], [7., 0., 8., 0., 0.]];
        let logits = Tensor::new(&rows, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let x = random(&[2, 3], 2, dtype);
        let called = RefCell::new(Vec::new());
        let routing = Routing::top_k(&logits, 2, true).unwrap();
        let y = routing.apply(&x, EXPERTS, |i, rows| {
            called.borrow_mut().push((i, numbers(rows)));
            linears[i].forward(rows)
        });
        let all = numbers(&x);
        assert_eq!(called.into_inner(), [(0, all.clone()), (2, all)]);
        y.unwrap().sum_all().unwrap().backward().unwrap();
        let with_gradient: Vec<_> = set.iter().map(|p| p.grad().is_some()).collect();
        assert_eq!(with_gradient, [true, false, true, false, false]);
    }
}

#[test]
fn either_side_may_be_untracked_and_experts_may_ignore_their_rows() {
    let none = Parameters::new();
    let (_, linears) = experts(DType::F64);
    let frozen: Vec<_> = linears.iter().map(|linear| linear.weight().value().detach()).collect();
    let expert = |i: usize, rows: &Tensor| rows.matmul(&frozen[i].t()?);
    let [logits, x] = inputs(20, DType::F64);
    let (fixed_logits, fixed_x) = (logits.as_detached_tensor(), x.as_detached_tensor());
    let run =
        |logits: &Tensor, x: &Tensor| Routing::top_k(logits, 2, true)?.apply(x, EXPERTS, expert);
    let slow = |logits: &Tensor, x: &Tensor| {
        let routing = Routing::top_k(logits, 2, true)?;
        slow(logits, x, &routing, true, &linears)
    };
    assert_agree(&[&logits], &none, 1e-12, || run(&logits, &fixed_x), || slow(&logits, &fixed_x));
    assert_agree(&[&x], &none, 1e-12, || run(&fixed_logits, &x), || slow(&fixed_logits, &x));
    assert!(!run(&fixed_logits, &fixed_x).unwrap().track_op());

    // Only some experts send a gradient back, and none is no hindrance.
    let hidden = x.sqr().unwrap();
    for silent in [[true, false, true, false, false], [true; 5]] {
        let routing = Routing::top_k(&logits, 2, true).unwrap();
        let y = routing.apply(&hidden, EXPERTS, |i, rows| {
            if silent[i] { expert(i, &rows.detach()) } else { expert(i, rows) }
        });
        let grads = y.unwrap().sum_all().unwrap().backward().unwrap();
        assert!(grads.get(&logits).is_some());
        assert_eq!(grads.get(&x).is_some(), silent != [true; 5]);
    }
}

#[test]
fn a_graph_goes_backward_twice_alike() {
    let (_, linears) = experts(DType::F32);
    let [logits, x] = inputs(20, DType::F32);
    let routing = Routing::top_k(&logits, 2, true).unwrap();
    let y = routing.apply(&x, EXPERTS, |i, rows| linears[i].forward(rows)).unwrap();
    let grad = random(y.dims(), 3, DType::F32);
    let run = || {
        numbers(
            vjp(std::slice::from_ref(&y), std::slice::from_ref(&grad)).unwrap().get(&x).unwrap(),
        )
    };
    assert_eq!(run(), run());
}

/// The loss from its definition.
fn balance(logits: &Tensor, k: usize, batch: usize) -> f64 {
    let routing = Routing::top_k(logits, k, false).unwrap();
    let tokens = logits.dim(0).unwrap() / batch;
    let probabilities: Vec<Vec<f64>> = {
        let exp = logits.to_dtype(DType::F64).unwrap().exp().unwrap();
        let sum = exp.sum_keepdim(1).unwrap();
        exp.broadcast_div(&sum).unwrap().to_vec2().unwrap()
    };
    let count = |n: usize| f64::from(u32::try_from(n).unwrap());
    let mut loss = 0.;
    for row in 0..batch {
        for expert in 0..EXPERTS {
            let chosen = &routing.experts()[row * tokens * k..(row + 1) * tokens * k];
            let chosen = chosen.iter().filter(|&&e| e as usize == expert).count();
            let of_row = &probabilities[row * tokens..(row + 1) * tokens];
            let mean = of_row.iter().map(|p| p[expert]).sum::<f64>() / count(tokens);
            loss += count(EXPERTS) * (count(chosen) / count(tokens)) * mean;
        }
    }
    loss / count(batch)
}

#[test]
fn the_balance_loss_is_what_it_is_defined_to_be() {
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
        for (k, batch) in [(1, 1), (2, 3), (2, 12)] {
            let logits = random(&[12, EXPERTS], 1, dtype);
            let routing = Routing::top_k(&logits, k, true).unwrap();
            let loss = routing.balance_loss(batch).unwrap();
            assert_eq!((loss.dtype(), loss.rank(), loss.track_op()), (DType::F32, 0, false));
            let expected = balance(&logits, k, batch);
            assert!((numbers(&loss)[0] - expected).abs() < 1e-6 * expected);
        }
    }
    let alike = Tensor::zeros((6, EXPERTS), DType::F32, &Device::Cpu).unwrap();
    let loss = Routing::top_k(&alike, 2, true).unwrap().balance_loss(2).unwrap();
    assert!((numbers(&loss)[0] - 2.).abs() < 1e-6);
}

#[test]
fn its_gradient_is_added_whatever_the_outputs_gradient_is() {
    const WEIGHT: f64 = 0.7;
    let (_, linears) = experts(DType::F64);
    let [logits, x] = inputs(12, DType::F64);
    let run = |weight: Option<f64>, grad: f64| {
        let mut routing = Routing::top_k(&logits, 2, true).unwrap();
        if let Some(weight) = weight {
            routing = routing.with_balance_loss(3, weight).unwrap();
        }
        let y = routing.apply(&x, EXPERTS, |i, rows| linears[i].forward(rows)).unwrap();
        let grad = y.detach().ones_like().unwrap().affine(grad, 0.).unwrap();
        let grads = vjp(std::slice::from_ref(&y), &[grad]).unwrap();
        (numbers(&y), numbers(grads.get(&logits).unwrap()))
    };
    let (plain, with) = (run(None, 1.), run(Some(WEIGHT), 1.));
    assert_eq!(plain.0, with.0);
    assert_eq!(run(Some(0.), 1.), plain);
    let alone = run(Some(WEIGHT), 0.).1;
    let start = numbers(&logits);
    for i in 0..start.len() {
        let at = |step: f64| {
            let mut moved = start.clone();
            moved[i] += step;
            balance(&Tensor::from_vec(moved, logits.shape(), &Device::Cpu).unwrap(), 2, 3)
        };
        let slope = WEIGHT * (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!((alone[i] - slope).abs() < 1e-8, "number {i}: {}, slope {slope}", alone[i]);
        assert!((with.1[i] - plain.1[i] - slope).abs() < 1e-8);
    }
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        let logits = Var::from_tensor(&logits.to_dtype(dtype).unwrap()).unwrap();
        let routing = Routing::top_k(&logits, 2, true).unwrap().with_balance_loss(3, WEIGHT);
        let weights = routing.unwrap().weights().clone();
        let zeros = weights.zeros_like().unwrap();
        let grads = vjp(&[weights], &[zeros]).unwrap();
        let expected = Tensor::from_vec(alone.clone(), logits.shape(), &Device::Cpu).unwrap();
        assert_close("gradient", grads.get(&logits).unwrap(), &expected, 1e-3);
    }
}

#[test]
fn its_gradient_does_not_depend_on_how_a_batch_is_cut() {
    let logits = variable(&[12, EXPERTS], 1, DType::F64);
    let gradient = |batch: usize, start: usize, len: usize, weight: f64| {
        let part = logits.narrow(0, start, len).unwrap();
        let routing = Routing::top_k(&part, 2, true).unwrap().with_balance_loss(batch, weight);
        let weights = routing.unwrap().weights().clone();
        let zeros = weights.zeros_like().unwrap();
        numbers(vjp(&[weights], &[zeros]).unwrap().get(&logits).unwrap())
    };
    let whole = gradient(4, 0, 12, 1.);
    // One sequence of four, and three.
    let parts = gradient(1, 0, 3, 0.25).into_iter().zip(gradient(3, 3, 9, 0.75));
    for (whole, (first, second)) in whole.iter().zip(parts) {
        assert!((whole - first - second).abs() < 1e-15);
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let logits = random(&[4, EXPERTS], 1, DType::F32);
    let error = |k| Routing::top_k(&logits, k, true).unwrap_err().to_string();
    assert_eq!(error(0), "each token needs between 1 and all 5 experts, got 0");
    assert_eq!(error(6), "each token needs between 1 and all 5 experts, got 6");
    let vector = random(&[4], 1, DType::F32);
    let message = Routing::top_k(&vector, 1, true).unwrap_err().to_string();
    assert_eq!(message, "the router takes logits of shape [tokens, experts], got [4]");

    let routing = Routing::top_k(&logits, 2, true).unwrap();
    let error = |x: &Tensor, num_experts| {
        let rows = |_, rows: &Tensor| rows.narrow(0, 0, 1);
        routing.apply(x, num_experts, rows).unwrap_err().to_string()
    };
    let x = random(&[4, 3], 1, DType::F32);
    let message = error(&x, 4);
    assert_eq!(message, "the mixture of experts takes logits of shape [tokens, 4], got [4, 5]");
    let message = error(&random(&[3, 3], 1, DType::F32), EXPERTS);
    assert_eq!(message, "the mixture of experts takes an input of shape [4, hidden], got [3, 3]");
    let message = error(&x, EXPERTS);
    assert!(message.contains("rows from expert") && message.contains("got [1, 3]"), "{message}");

    let message = routing.balance_loss(3).unwrap_err().to_string();
    assert_eq!(message, "4 tokens are not 3 sequences of one length");
    assert!(routing.clone().with_balance_loss(0, 1.).is_err());
    let message = routing.with_balance_loss(2, f64::NAN).unwrap_err().to_string();
    assert_eq!(message, "the weight of the balance loss must be finite, got NaN");

    let none = random(&[0, EXPERTS], 1, DType::F32);
    let routing = Routing::top_k(&none, 2, true).unwrap().with_balance_loss(1, 1.).unwrap();
    let y = routing.apply(&random(&[0, 3], 1, DType::F32), EXPERTS, |_, rows| Ok(rows.clone()));
    assert_eq!(y.unwrap().dims(), [0, 3]);
}
