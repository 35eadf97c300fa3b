//! Tests of recomputation: the ordinary gradients, and nothing kept in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor};

use super::{Recomputed, recompute};
use crate::oracle::{numbers, parameter, random, variable};
use crate::{Embedding, Linear, Parameters, RmsNorm, swiglu, vjp};

/// A feed-forward with a residual, and a scale by plain candle operations.
fn block(set: &mut Parameters, name: &str, dtype: DType) -> Recomputed {
    let mut weight =
        |part: &str, shape: &[usize]| parameter(set, &format!("{name}.{part}"), shape, dtype);
    let norm = RmsNorm::new(weight("norm", &[6]), 1e-5).unwrap();
    let gate = Linear::new(weight("gate", &[8, 6]), None).unwrap();
    let up = Linear::new(weight("up", &[8, 6]), Some(weight("bias", &[8]))).unwrap();
    let down = Linear::new(weight("down", &[6, 8]), None).unwrap();
    let scale = weight("scale", &[6]);
    Arc::new(move |x| {
        let y = norm.forward(x)?;
        let y = down.forward(&swiglu(&gate.forward(&y)?, &up.forward(&y)?)?)?;
        x + y.broadcast_mul(scale.value())?
    })
}

/// The bits of the output, of the input's gradient and of those of all parameters.
fn run(set: &Parameters, x: &Tensor, f: &dyn Fn(&Tensor) -> Result<Tensor>) -> Vec<Vec<f64>> {
    set.zero_grad();
    let y = f(x).unwrap();
    let grad = random(y.dims(), 99, y.dtype());
    let mut bits = vec![numbers(&y)];
    let mut grads = vjp(&[y], &[grad]).unwrap();
    set.collect(&mut grads).unwrap();
    // candle adds up what reaches a tensor that is no variable, too.
    bits.extend(grads.get(x).filter(|_| x.track_op()).map(numbers));
    let of_parameters = set.iter().map(|p| numbers(&p.grad().expect("every parameter has one")));
    bits.extend(of_parameters);
    bits
}

#[test]
fn gradients_are_the_ordinary_ones_to_the_bit() {
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
        let mut set = Parameters::new();
        let (first, second) = (block(&mut set, "0", dtype), block(&mut set, "1", dtype));
        let ordinary = |x: &Tensor| second(&first(x)?);
        let again = |x: &Tensor| {
            let x = recompute(&set, x, Arc::clone(&first))?;
            recompute(&set, &x, Arc::clone(&second))
        };
        let (inner, all) = (set.clone(), (Arc::clone(&first), Arc::clone(&second)));
        let both: Recomputed = Arc::new(move |x| {
            let x = recompute(&inner, x, Arc::clone(&all.0))?;
            recompute(&inner, &x, Arc::clone(&all.1))
        });
        let nested = |x: &Tensor| recompute(&set, x, Arc::clone(&both));
        let x = variable(&[2, 3, 6], 1, dtype);
        let plain = random(&[2, 3, 6], 1, dtype);
        for x in [x.as_tensor(), &plain] {
            let expected = run(&set, x, &ordinary);
            assert_eq!(expected.len(), 1 + usize::from(x.track_op()) + set.len());
            assert!(expected.iter().all(|bits| bits.iter().any(|&x| x != 0.)));
            assert_eq!(run(&set, x, &again), expected);
            assert_eq!(run(&set, x, &nested), expected);
        }
    }
}

#[test]
fn weight_gradients_wait_within_deferring() {
    let mut set = Parameters::new();
    let (norm, linear) =
        (parameter(&mut set, "n", &[6], DType::F32), parameter(&mut set, "w", &[6, 6], DType::F32));
    let (norm, linear) = (RmsNorm::new(norm, 1e-5).unwrap(), Linear::new(linear, None).unwrap());
    let f: Recomputed = Arc::new(move |x| linear.forward(&norm.forward(x)?));
    let x = variable(&[3, 6], 1, DType::F32);
    let expected = run(&set, &x, &|x| f(x));
    set.zero_grad();
    let y = recompute(&set, &x, Arc::clone(&f)).unwrap();
    let grad = random(y.dims(), 99, y.dtype());
    let (grads, late) = set.deferring(|| vjp(&[y], &[grad]).unwrap());
    assert_eq!(numbers(grads.get(&x).unwrap()), expected[1]);
    assert!(set.iter().all(|p| p.grad().is_none()));
    assert_eq!(late.len(), 2);
    late.run().unwrap();
    let late: Vec<_> = set.iter().map(|p| numbers(&p.grad().unwrap())).collect();
    assert_eq!(late, expected[2..]);
}

#[test]
fn ids_may_go_in_and_a_view_come_out() {
    let mut set = Parameters::new();
    let embedding = Embedding::new(parameter(&mut set, "embed", &[5, 3], DType::F32)).unwrap();
    let f: Recomputed = Arc::new(move |ids| embedding.forward(ids)?.t()?.narrow(0, 1, 2));
    let ids = Tensor::new(&[4u32, 0, 4, 1], &Device::Cpu).unwrap();
    let expected = run(&set, &ids, &|x| f(x));
    assert_eq!(run(&set, &ids, &|x| recompute(&set, x, Arc::clone(&f))), expected);
}

/// The same numbers; there is one more of what it counts as long as it is in a graph.
struct Probe(#[expect(dead_code, reason = "it is counted")] Arc<()>);

impl CustomOp1 for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((x.clone(), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(grad.clone()))
    }
}

#[test]
fn nothing_is_kept_between_forward_and_backward() {
    let mut set = Parameters::new();
    let linear = Linear::new(parameter(&mut set, "w", &[6, 6], DType::F32), None).unwrap();
    let (alive, calls) = (Arc::new(()), Arc::new(AtomicUsize::new(0)));
    let (probe, counted) = (Arc::clone(&alive), Arc::clone(&calls));
    let f: Recomputed = Arc::new(move |x| {
        counted.fetch_add(1, Ordering::Relaxed);
        linear.forward(x)?.apply_op1(Probe(Arc::clone(&probe)))?.sqr()
    });
    let x = variable(&[3, 6], 1, DType::F32);
    let before = Arc::strong_count(&alive);
    let ordinary = f(&x).unwrap();
    assert_eq!(Arc::strong_count(&alive), before + 1, "a graph keeps its operations");
    drop(ordinary);

    let y = recompute(&set, &x, Arc::clone(&f)).unwrap();
    assert_eq!(Arc::strong_count(&alive), before, "the operations of the function are gone");
    assert_eq!((Arc::strong_count(&f), calls.load(Ordering::Relaxed)), (2, 2));
    y.sum_all().unwrap().backward().unwrap();
    assert_eq!((Arc::strong_count(&alive), calls.load(Ordering::Relaxed)), (before, 3));
    drop(y);
    assert_eq!(Arc::strong_count(&f), 1);
}

#[test]
fn without_a_graph_it_is_the_function() {
    let mut set = Parameters::new();
    let f = block(&mut set, "0", DType::F32);
    let x = random(&[3, 6], 1, DType::F32);
    let y = set.no_grad(|| recompute(&set, &x, Arc::clone(&f))).unwrap();
    assert!(!y.track_op());
    assert_eq!(Arc::strong_count(&f), 1);

    let mut frozen = Parameters::new();
    let weight = frozen.add("w", random(&[6, 6], 2, DType::F32), false).unwrap();
    let linear = Linear::new(weight, None).unwrap();
    let f: Recomputed = Arc::new(move |x| linear.forward(x));
    assert!(!recompute(&frozen, &x, Arc::clone(&f)).unwrap().track_op());
    let x = variable(&[3, 6], 1, DType::F32);
    let expected = run(&Parameters::new(), &x, &|x| f(x));
    assert_eq!(expected.len(), 2);
    let again = |x: &Tensor| recompute(&frozen, x, Arc::clone(&f));
    assert_eq!(run(&Parameters::new(), &x, &again), expected);
}

#[test]
fn a_backward_may_come_while_there_is_no_graph() {
    let mut set = Parameters::new();
    let f = block(&mut set, "0", DType::F32);
    let x = variable(&[3, 6], 1, DType::F32);
    let expected = run(&set, &x, &|x| f(x));
    set.zero_grad();
    let y = recompute(&set, &x, f).unwrap();
    let grad = random(y.dims(), 99, y.dtype());
    set.no_grad(|| vjp(&[y], &[grad])).unwrap();
    let actual: Vec<_> = set.iter().map(|p| numbers(&p.grad().unwrap())).collect();
    assert_eq!(actual, expected[2..]);
}

#[test]
fn an_input_without_use_has_a_zero_gradient_and_an_error_comes_out() {
    let mut set = Parameters::new();
    let weight = parameter(&mut set, "w", &[3], DType::F32);
    let x = variable(&[3], 1, DType::F32);
    let constant: Recomputed = Arc::new(move |_| weight.value().sqr());
    let hidden = x.exp().unwrap();
    let grads = recompute(&set, &hidden, constant).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(numbers(grads.get(&x).unwrap()), [0.; 3]);
    assert!(set.iter().all(|p| p.grad().is_some()));

    let calls = AtomicUsize::new(0);
    let fails: Recomputed = Arc::new(move |x| match calls.fetch_add(1, Ordering::Relaxed) {
        0 => x.sqr(),
        _ => candle_core::bail!("the second time"),
    });
    let y = recompute(&set, &x, fails).unwrap();
    assert!(y.sum_all().unwrap().backward().unwrap_err().to_string().contains("the second time"));
}
