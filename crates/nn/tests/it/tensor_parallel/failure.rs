//! A rank that is gone.

use autopipe_nn::{Embedding, Linear, Parameters, Pass, cross_entropy_sum_among, enter, leave};
use candle_core::{DType, Device, Tensor, Var};

use super::{add, random};
use crate::threads::broken;

#[test]
fn a_group_that_fails_is_an_error() {
    let group = broken(Pass::Forward);
    let x = Var::from_tensor(&random(&[2, 4], "x", DType::F32)).unwrap();
    let is_told = |error: candle_core::Error| error.to_string().contains("rank 0 is gone");
    assert!(is_told(leave(&x, &group).unwrap_err()));
    let labels = Tensor::new(&[0u32, 1], &Device::Cpu).unwrap();
    assert!(is_told(cross_entropy_sum_among(&x, &labels, &group).unwrap_err()));
    let mut set = Parameters::new();
    let weight = add(&mut set, Some(&group), ("e", &[4, 3], DType::F32), (0, &[4]));
    let embedding = Embedding::among(weight, &group).unwrap();
    assert!(is_told(embedding.forward(&labels).unwrap_err()));

    let group = broken(Pass::Backward);
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
