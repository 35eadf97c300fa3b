//! Master weights: what float32 remembers of parameters of half precision.

use candle_core::{DType, Device, Tensor};

use super::{ADAMW, RULES, optimizer};
use crate::Parameters;
use crate::optim::{MasterWeights, Optimizer, Rule, SgdConfig};
use crate::oracle::{numbers, parameter, random};

const PLAIN: SgdConfig = SgdConfig { weight_decay: 0., ..super::SGD };

/// The value after 100 steps that are too small to change a number of half precision alone.
fn after_small_steps(dtype: DType, masters: MasterWeights) -> f64 {
    let mut set = Parameters::new();
    let one = Tensor::ones((1, 1), dtype, &Device::Cpu).unwrap();
    let p = set.add("p", one, true).unwrap();
    p.set_grad(Some(Tensor::ones((1, 1), DType::F32, &Device::Cpu).unwrap()));
    let mut optimizer = optimizer(PLAIN).with_master_weights(masters);
    for _ in 0..100 {
        optimizer.step(&set, 1e-4).unwrap();
    }
    numbers(p.value())[0]
}

#[test]
fn small_steps_add_up() {
    for dtype in [DType::BF16, DType::F16] {
        assert_eq!(after_small_steps(dtype, MasterWeights::None), 1., "{dtype:?}");
        let moved = after_small_steps(dtype, MasterWeights::Float32);
        assert!((moved - 0.99).abs() < 0.003, "{dtype:?}: {moved}");
    }
    let full = [MasterWeights::None, MasterWeights::Float32]
        .map(|masters| after_small_steps(DType::F32, masters));
    assert_eq!(full[0], full[1]);
}

/// A parameter of half precision goes exactly where one of float32 goes that began as it did.
#[test]
fn a_parameter_is_its_master_rounded() {
    for (rule, dtype) in RULES.iter().flat_map(|r| [DType::BF16, DType::F16].map(|d| (r, d))) {
        let (mut halves, mut fulls) = (Parameters::new(), Parameters::new());
        let half = parameter(&mut halves, "p", &[9, 17], dtype);
        let full = half.value().detach().to_dtype(DType::F32).unwrap();
        let full = fulls.add("p", full, true).unwrap();
        let mut optimizers = [optimizer(*rule), optimizer(*rule)];
        for step in 1..=4 {
            let grad = random(&[9, 17], step, DType::F32);
            for (p, set, optimizer) in [(&half, &halves, 0usize), (&full, &fulls, 1)] {
                p.set_grad(Some(grad.clone()));
                optimizers[optimizer].step(set, 0.1).unwrap();
            }
        }
        let state = optimizers[0].state("p").unwrap().unwrap();
        let master = &state.tensors["master"];
        assert_eq!(master.dtype(), DType::F32);
        let rounded = numbers(&master.to_dtype(dtype).unwrap());
        assert_eq!(numbers(half.value()), rounded, "{rule:?} {dtype:?}");
        // Float16 is computed by candle's operations, whose order is the kernels' nearly.
        for (a, e) in numbers(master).into_iter().zip(numbers(full.value())) {
            let tolerance = if dtype == DType::F16 { 1e-6 } else { 0. };
            assert!((a - e).abs() <= tolerance, "{rule:?} {dtype:?}: {a}, should be {e}");
        }
    }
}

#[test]
fn a_state_has_masters_for_half_precision_only() {
    let of = |optimizer: &Optimizer, dtype| optimizer.state_names(dtype).join(" ");
    let with = optimizer(ADAMW);
    assert_eq!(of(&with, DType::F32), "exp_avg exp_avg_sq");
    assert_eq!(of(&with, DType::F64), "exp_avg exp_avg_sq");
    assert_eq!(of(&with, DType::BF16), "exp_avg exp_avg_sq master");
    let without = optimizer(ADAMW).with_master_weights(MasterWeights::None);
    assert_eq!(of(&without, DType::F16), "exp_avg exp_avg_sq");
    let plain = optimizer(Rule::Sgd(PLAIN));
    assert_eq!((of(&plain, DType::F32), of(&plain, DType::F16)), (String::new(), "master".into()));
    assert_eq!(of(&optimizer(super::MOMENTUM), DType::F32), "momentum_buffer");
    assert_eq!(of(&optimizer(super::LION), DType::F32), "exp_avg");
}
