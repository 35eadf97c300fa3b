//! What torch 2.15 computes in float32 in four steps, with `foreach=False`.

use candle_core::{Device, Tensor};

use super::{ADAMW, MOMENTUM, NESTEROV, SGD, optimizer};
use crate::Parameters;
use crate::optim::{Group, Optimizer, Rule};

const START: [f32; 4] = [1., -2., 0.5, 3.];
/// Learning rates and gradients.
const STEPS: [(f64, [f32; 4]); 4] = [
    (0.1, [0.5, -1.25, 0., 2.]),
    (0.05, [-0.75, 0.125, 1.5, -3.]),
    (0.1, [1., 1., -0.5, 0.25]),
    (0.2, [0.0625, -2.5, 0.375, 1.75]),
];

/// The values after all steps and what is remembered, as they come from torch: the same but for the
/// last bits of what was added up, where torch rounds a product and a sum at once.
#[track_caller]
fn check(rule: impl Into<Rule>, value: [f32; 4], rows: &[(&str, [f32; 4])]) {
    let mut set = Parameters::new();
    let start = Tensor::new(&[START], &Device::Cpu).unwrap();
    let p = set.add("p", start, true).unwrap();
    let mut optimizer = optimizer(rule);
    for (lr, grad) in STEPS {
        p.set_grad(Some(Tensor::new(&[grad], &Device::Cpu).unwrap()));
        optimizer.step(&set, lr).unwrap();
    }
    near(p.value(), value);
    let state = optimizer.state("p").unwrap().unwrap();
    assert_eq!((state.step, state.tensors.len()), (4, rows.len()));
    for (name, row) in rows {
        near(&state.tensors[*name], *row);
    }
}

#[track_caller]
fn near(actual: &Tensor, expected: [f32; 4]) {
    let actual = actual.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (a, e) in actual.into_iter().zip(expected) {
        assert!((a - e).abs() <= 2. * f32::EPSILON * e.abs().max(1.), "{a:?}, torch has {e:?}");
    }
}

#[test]
fn adamw() {
    check(
        ADAMW,
        [0.695_533_1, -1.538_975_2, 0.292_129_3, 2.517_851_8],
        &[
            ("exp_avg", [0.127_7, -0.452, 0.187, 0.210_799_99]),
            ("exp_avg_sq", [0.083_795_31, 0.427_687_5, 0.120_437_5, 0.733_693_7]),
        ],
    );
}

#[test]
fn sgd() {
    check(SGD, [0.773_305_8, -1.270_065_3, 0.348_933_8, 2.257_668_3], &[]);
}

#[test]
fn sgd_with_dampened_momentum() {
    check(
        MOMENTUM,
        [0.601_445_9, -1.088_262_7, 0.216_232_82, 1.962_231_6],
        &[("momentum_buffer", [1.020_319_5, -2.606_626, 0.807_346_6, 2.664_202_2])],
    );
}

#[test]
fn sgd_with_nesterovs_lookahead() {
    check(
        NESTEROV,
        [0.457_084_1, -0.545_256_4, 0.053_464_904, 1.598_018_9],
        &[("momentum_buffer", [1.166_497, -3.367_605, 1.103_505_6, 2.887_629])],
    );
}

/// The same as one group of torch's with another decay and rate.
#[test]
fn groups() {
    let mut set = Parameters::new();
    let start = Tensor::new(&[START], &Device::Cpu).unwrap();
    let p = set.add("p", start, true).unwrap();
    let rule = Rule::AdamW(super::AdamWConfig { weight_decay: 9., ..ADAMW });
    let group = Group { weight_decay: Some(0.3), lr_factor: 0.5, ..Group::new(|name| name == "p") };
    let mut optimizer = Optimizer::new(rule, vec![group]).unwrap();
    for (lr, grad) in STEPS {
        p.set_grad(Some(Tensor::new(&[grad], &Device::Cpu).unwrap()));
        optimizer.step(&set, 2. * lr).unwrap();
    }
    near(p.value(), [0.695_533_1, -1.538_975_2, 0.292_129_3, 2.517_851_8]);
}
