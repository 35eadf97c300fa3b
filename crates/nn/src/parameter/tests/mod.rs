//! Tests of gradient buffers and of the queue of deferred work.

mod release;
mod slice;

use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Tensor};

use super::{Parameters, Tracking};
use crate::oracle::{numbers, parameter};

fn tensor(numbers: &[f32]) -> Tensor {
    Tensor::new(numbers, &Device::Cpu).unwrap()
}

fn random(shape: &[usize], seed: u64) -> Tensor {
    crate::oracle::random(shape, seed, DType::F32)
}

#[test]
fn gradients_add_up() {
    let mut set = Parameters::new();
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        let p = set.add(dtype.as_str(), tensor(&[0., 0.]).to_dtype(dtype).unwrap(), true).unwrap();
        assert!(p.grad().is_none());
        for i in 1..=4u32 {
            p.accumulate(&tensor(&[1., 10.]).to_dtype(dtype).unwrap()).unwrap();
            assert_eq!(numbers(&p.grad().unwrap()), [f64::from(i), f64::from(10 * i)]);
        }
    }
}

#[test]
fn nobody_elses_tensor_is_written_to() {
    let mut set = Parameters::new();
    let p = set.add("p", tensor(&[0., 0.]), true).unwrap();
    let ones = tensor(&[1., 1.]);
    p.accumulate(&ones).unwrap();
    p.scale_grad(3.).unwrap();
    p.accumulate(&ones).unwrap();
    p.accumulate(&ones).unwrap();
    let seen = p.grad().unwrap();
    p.accumulate(&ones).unwrap();
    let double = |sum: &Tensor| sum.inplace_op1(&crate::cpu::ScaleAssign(2.));
    p.accumulate_in_place(|| Ok(tensor(&[0., 0.])), double).unwrap();
    assert_eq!(numbers(&ones), [1., 1.]);
    assert_eq!(numbers(&seen), [5., 5.]);
    assert_eq!(numbers(&p.grad().unwrap()), [12., 12.]);
}

#[test]
fn strided_gradients_are_added_in_place() {
    let mut set = Parameters::new();
    let p = set.add("p", tensor(&[0.; 6]).reshape((2, 3)).unwrap(), true).unwrap();
    let transposed = tensor(&[1., 2., 3., 4., 5., 6.]).reshape((3, 2)).unwrap().t().unwrap();
    for _ in 0..3 {
        p.accumulate(&transposed).unwrap();
    }
    assert_eq!(numbers(&p.grad().unwrap()), [3., 9., 15., 6., 12., 18.]);
    p.set_grad(Some(transposed));
    p.scale_grad(10.).unwrap();
    assert_eq!(numbers(&p.grad().unwrap()), [10., 30., 50., 20., 40., 60.]);
}

#[test]
fn a_gradient_that_does_not_fit_is_refused_and_changes_nothing() {
    let mut set = Parameters::new();
    let p = set.add("layers.0.weight", tensor(&[0., 0.]), true).unwrap();
    p.accumulate(&tensor(&[1., 2.])).unwrap();
    let error = p.accumulate(&tensor(&[1., 2., 3.])).unwrap_err().to_string();
    assert!(error.contains("the gradient of `layers.0.weight` has shape [3]"), "{error}");
    let double = tensor(&[1., 2.]).to_dtype(DType::F64).unwrap();
    assert!(p.accumulate(&double).unwrap_err().to_string().contains("F64"));
    assert_eq!(numbers(&p.grad().unwrap()), [1., 2.]);
}

#[test]
fn work_runs_once_and_in_the_order_it_came() {
    let mut set = Parameters::new();
    let names = ["a", "b", "a"];
    set.add("a", tensor(&[0.]), true).unwrap();
    set.add("b", tensor(&[0.]), true).unwrap();
    let log = Arc::new(Mutex::new(Vec::new()));
    let work = || {
        for name in names {
            let log = Arc::clone(&log);
            let work = set.get(name).unwrap().defer(move |p| {
                log.lock().unwrap().push(p.name().to_owned());
                Ok(())
            });
            work.unwrap();
        }
    };
    work();
    assert_eq!(*log.lock().unwrap(), names);
    log.lock().unwrap().clear();
    let ((), deferred) = set.deferring(work);
    assert_eq!(format!("{deferred:?}"), r#"["a", "b", "a"]"#);
    assert_eq!(deferred.len(), 3);
    assert!(log.lock().unwrap().is_empty());
    deferred.run().unwrap();
    assert_eq!(*log.lock().unwrap(), names);
}

#[test]
fn waiting_work_keeps_no_parameter_alive() {
    let mut set = Parameters::new();
    let p = set.add("p", tensor(&[0.]), true).unwrap();
    let alive = Arc::new(());
    let watch = Arc::downgrade(&alive);
    let (_, late) = set.deferring(|| {
        let work = p.defer(move |_| {
            drop(alive);
            Ok(())
        });
        work.unwrap();
        assert!(watch.upgrade().is_some());
        set.zero_grad();
        assert!(watch.upgrade().is_none());
    });
    assert!(late.is_empty());
}

#[test]
fn work_is_put_off_within_a_scope_only() {
    let mut set = Parameters::new();
    let p = set.add("p", tensor(&[0.]), true).unwrap();
    let add = |x: f32| p.defer(move |p| p.accumulate(&tensor(&[x])));
    let sum = || p.grad().map(|grad| numbers(&grad));
    add(1.).unwrap();
    assert_eq!(sum(), Some(vec![1.]));

    let (inner, outer) = set.deferring(|| {
        add(2.).unwrap();
        let ((), inner) = set.deferring(|| add(4.).unwrap());
        add(8.).unwrap();
        inner
    });
    assert_eq!((inner.len(), outer.len(), sum()), (1, 2, Some(vec![1.])));
    add(16.).unwrap();
    assert_eq!(sum(), Some(vec![17.]));
    inner.run().unwrap();
    assert_eq!(sum(), Some(vec![21.]));
    outer.run().unwrap();
    assert_eq!(sum(), Some(vec![31.]));
}

#[test]
fn after_a_failure_and_after_a_panic_work_is_done_at_once_again() {
    let mut set = Parameters::new();
    let p = set.add("p", tensor(&[0.]), true).unwrap();
    let add = |x: f32| p.defer(move |p| p.accumulate(&tensor(&[x])));
    let (result, late) = set.deferring(|| add(1.).and_then(|()| p.accumulate(&tensor(&[1., 2.]))));
    assert!(result.is_err());
    assert_eq!(late.len(), 1);
    drop(late);
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(set.deferring(|| {
            add(2.).unwrap();
            panic!("a backward that fails");
        }));
    }));
    assert!(failed.is_err());
    add(4.).unwrap();
    assert_eq!(numbers(&p.grad().unwrap()), [4.]);
}

#[test]
fn what_work_says_comes_out() {
    let mut set = Parameters::new();
    let p = set.add("p", tensor(&[0.]), true).unwrap();
    let fail = || p.defer(|_| candle_core::bail!("no"));
    assert!(fail().unwrap_err().to_string().starts_with("no"));
    let (now, late) = set.deferring(fail);
    now.unwrap();
    assert!(late.run().unwrap_err().to_string().starts_with("no"));
}

#[test]
fn gradients_of_half_precision_add_up_in_float32() {
    let mut set = Parameters::new();
    for dtype in [DType::BF16, DType::F16] {
        let p = set.add(dtype.as_str(), tensor(&[0.]).to_dtype(dtype).unwrap(), true).unwrap();
        p.accumulate(&tensor(&[1.]).to_dtype(dtype).unwrap()).unwrap();
        let small = tensor(&[1e-4]);
        for _ in 0..100 {
            p.accumulate(&small).unwrap();
            p.accumulate(&small.to_dtype(dtype).unwrap()).unwrap();
        }
        let sum = p.grad().unwrap();
        assert_eq!(sum.dtype(), DType::F32);
        assert!((numbers(&sum)[0] - 1.02).abs() < 1e-4, "{sum}");
        assert!(p.accumulate(&tensor(&[1.]).to_dtype(DType::F64).unwrap()).is_err());

        p.set_grad(Some(tensor(&[3.]).to_dtype(dtype).unwrap()));
        p.accumulate_in_place(|| Ok(tensor(&[0.])), |_| Ok(())).unwrap();
        assert_eq!(p.grad().unwrap().dtype(), DType::F32);
        assert_eq!(numbers(&p.grad().unwrap()), [3.]);
    }
}

#[test]
fn zero_grad_forgets_what_waits() {
    let mut set = Parameters::new();
    let p = set.add("p", tensor(&[0.]), true).unwrap();
    p.accumulate(&tensor(&[1.])).unwrap();
    let (added, late) = set.deferring(|| {
        let added = p.defer(|p| p.accumulate(&tensor(&[5.])));
        set.zero_grad();
        added
    });
    added.unwrap();
    late.run().unwrap();
    assert!(p.grad().is_none());
}

#[test]
fn names_are_unique_and_order_is_kept() {
    let mut set = Parameters::new();
    for name in ["z", "a", "m"] {
        set.add(name, tensor(&[0., 1.]), name != "a").unwrap();
    }
    let error = set.add("a", tensor(&[0.]), true).unwrap_err().to_string();
    assert_eq!(error, "the parameter `a` exists already; names are unique within a set");
    assert_eq!(set.iter().map(|p| p.name().to_owned()).collect::<Vec<_>>(), ["z", "a", "m"]);
    assert_eq!((set.len(), set.num_elements()), (3, 6));
    assert!(!set.get("a").unwrap().is_trainable());
    assert!(set.get("nobody").is_none());
}

#[test]
fn a_threads_scope_goes_before_and_is_of_one_set() {
    let mut set = Parameters::new();
    let weight = parameter(&mut set, "w", &[2], DType::F32);
    let other = parameter(&mut Parameters::new(), "w", &[2], DType::F32);
    let is_variable = || weight.value().is_variable();
    set.tracking(Tracking::Off, || {
        assert!(!is_variable() && other.value().is_variable());
        std::thread::scope(|scope| assert!(scope.spawn(is_variable).join().unwrap()));
        set.tracking(Tracking::On, || assert!(is_variable()));
        assert!(!is_variable());
    });
    set.no_grad(|| {
        assert!(!is_variable() && set.is_without_graph());
        set.tracking(Tracking::On, || assert!(is_variable() && !set.is_without_graph()));
    });
    assert!(is_variable());
}
