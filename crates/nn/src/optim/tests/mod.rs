//! Tests of the optimisers, against their formulas one number at a time and against torch.

mod groups;
mod masters;
mod on_gpu;
mod state;
mod torch;

use candle_core::{DType, Device, Tensor};

use super::{AdamWConfig, LionConfig, Lookahead, Optimizer, Rule, SgdConfig};
use crate::oracle::{numbers, parameter, random};
use crate::{Parameter, Parameters};

const ADAMW: AdamWConfig = AdamWConfig { beta1: 0.8, beta2: 0.95, eps: 1e-6, weight_decay: 0.3 };
const SGD: SgdConfig =
    SgdConfig { momentum: 0., dampening: 0., lookahead: Lookahead::None, weight_decay: 0.25 };
const MOMENTUM: SgdConfig = SgdConfig { momentum: 0.9, dampening: 0.5, ..SGD };
const NESTEROV: SgdConfig = SgdConfig { momentum: 0.75, lookahead: Lookahead::Nesterov, ..SGD };
const LION: LionConfig = LionConfig { beta1: 0.8, beta2: 0.95, weight_decay: 0.3 };

const RULES: [Rule; 5] = [
    Rule::AdamW(ADAMW),
    Rule::Sgd(SGD),
    Rule::Sgd(MOMENTUM),
    Rule::Sgd(NESTEROV),
    Rule::Lion(LION),
];

fn optimizer(rule: impl Into<Rule>) -> Optimizer {
    Optimizer::new(rule, Vec::new()).unwrap()
}

/// A rule in float64, as papers write it.
struct Reference {
    value: Vec<f64>,
    /// In the order of the rule's names.
    rows: Vec<Vec<f64>>,
    step: i32,
}

impl Reference {
    fn new(p: &Parameter, rule: &Rule) -> Self {
        let rows = vec![vec![0.; p.num_elements()]; rule.state_names().len()];
        Self { value: numbers(p.value()), rows, step: 0 }
    }

    fn step(&mut self, rule: &Rule, grad: &[f64], lr: f64, decay: f64) {
        self.step += 1;
        for (i, &g) in grad.iter().enumerate() {
            let p = &mut self.value[i];
            match rule {
                Rule::AdamW(c) => {
                    *p -= lr * decay * *p;
                    self.rows[0][i] = c.beta1 * self.rows[0][i] + (1. - c.beta1) * g;
                    self.rows[1][i] = c.beta2 * self.rows[1][i] + (1. - c.beta2) * g * g;
                    let mean = self.rows[0][i] / (1. - c.beta1.powi(self.step));
                    let square = self.rows[1][i] / (1. - c.beta2.powi(self.step));
                    *p -= lr * mean / (square.sqrt() + c.eps);
                }
                Rule::Sgd(c) => {
                    let g = g + decay * *p;
                    let Some(momentum) = self.rows.first_mut().map(|row| &mut row[i]) else {
                        *p -= lr * g;
                        continue;
                    };
                    *momentum = match self.step {
                        1 => g,
                        _ => c.momentum * *momentum + (1. - c.dampening) * g,
                    };
                    *p -= lr
                        * match c.lookahead {
                            Lookahead::None => *momentum,
                            Lookahead::Nesterov => g + c.momentum * *momentum,
                        };
                }
                Rule::Lion(c) => {
                    let sum = c.beta1 * self.rows[0][i] + (1. - c.beta1) * g;
                    *p -= lr * (decay * *p + sum.signum());
                    self.rows[0][i] = c.beta2 * self.rows[0][i] + (1. - c.beta2) * g;
                }
            }
        }
    }
}

fn assert_near(actual: &Tensor, expected: &[f64], tolerance: f64) {
    let actual = numbers(actual);
    assert_eq!(actual.len(), expected.len());
    for (a, e) in actual.iter().zip(expected) {
        assert!((a - e).abs() <= tolerance * e.abs().max(1.), "{a}, should be {e}");
    }
}

#[test]
fn every_rule_follows_its_formula_over_several_steps() {
    // Float16 has no kernel; the matrix is longer than what a kernel works on at once.
    let dtypes = [(DType::F32, 3e-6), (DType::F64, 1e-13), (DType::BF16, 0.01), (DType::F16, 1e-3)];
    for (rule, (dtype, tolerance)) in RULES.iter().flat_map(|r| dtypes.map(|d| (r, d))) {
        let mut set = Parameters::new();
        let matrix = parameter(&mut set, "matrix", &[13, 11], dtype);
        let vector = parameter(&mut set, "vector", &[5], dtype);
        let mut references = [Reference::new(&matrix, rule), Reference::new(&vector, rule)];
        let mut optimizer = optimizer(*rule);
        for (step, lr) in (1u32..).zip([0.1, 0.05, 0.2, 0.01, 0.1]) {
            for (p, reference) in set.iter().zip(&mut references) {
                let grad = random(p.shape().dims(), u64::from(step), p.grad_dtype());
                p.set_grad(Some(grad.clone()));
                // Vectors do not decay.
                let decay = if p.name() == "matrix" { rule.weight_decay() } else { 0. };
                reference.step(rule, &numbers(&grad), lr, decay);
            }
            optimizer.step(&set, lr).unwrap();
            for (p, reference) in set.iter().zip(&references) {
                assert_near(p.value(), &reference.value, tolerance);
                let state = optimizer.state(p.name()).unwrap().unwrap();
                assert_eq!(state.step, step);
                // What is remembered of half precision is float32 throughout.
                let tolerance = tolerance.min(3e-6);
                for (name, row) in rule.state_names().iter().zip(&reference.rows) {
                    assert_eq!(state.tensors[*name].shape(), p.shape());
                    assert_near(&state.tensors[*name], row, tolerance);
                }
            }
        }
    }
}

#[test]
fn the_first_step_is_as_computed_by_hand() {
    let stepped = |rule: Rule| {
        let mut set = Parameters::new();
        let value = Tensor::new(&[[1f64, -2., 3.]], &Device::Cpu).unwrap();
        let p = set.add("p", value, true).unwrap();
        p.set_grad(Some(Tensor::new(&[[4f64, -0.5, 0.]], &Device::Cpu).unwrap()));
        optimizer(rule).step(&set, 0.1).unwrap();
        numbers(p.value())
    };
    let near = |actual: Vec<f64>, expected: [f64; 3]| {
        assert!(actual.iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-7), "{actual:?}");
    };
    // Decay by 0.05, then one learning rate against the gradient's sign: that is the first step.
    let adamw = AdamWConfig { weight_decay: 0.5, ..AdamWConfig::default() };
    near(stepped(adamw.into()), [0.95 - 0.1, -1.9 + 0.1, 2.85]);
    // Lion's every step is like that.
    let lion = LionConfig { weight_decay: 0.5, ..LionConfig::default() };
    near(stepped(lion.into()), [0.95 - 0.1, -1.9 + 0.1, 2.85]);
    near(stepped(SgdConfig::default().into()), [0.6, -1.95, 3.]);
    // The decay is a part of the gradient, which comes into the momentum undamped.
    let momentum = SgdConfig { momentum: 0.9, dampening: 0.7, weight_decay: 0.5, ..SGD };
    near(stepped(momentum.into()), [1. - 0.45, -2. + 0.15, 3. - 0.15]);
}

#[test]
fn parameters_without_a_gradient_and_frozen_ones_stay() {
    let mut set = Parameters::new();
    let moved = parameter(&mut set, "moved", &[2, 2], DType::F32);
    let waits = parameter(&mut set, "waits", &[2, 2], DType::F32);
    let frozen = set.add("frozen", random(&[2, 2], 1, DType::F32), false).unwrap();
    let before = [&waits, &frozen].map(|p| numbers(p.value()));
    let grad = random(&[2, 2], 2, DType::F32);
    moved.set_grad(Some(grad.t().unwrap()));
    frozen.set_grad(Some(grad.clone()));
    let mut optimizer = optimizer(ADAMW);
    optimizer.step(&set, 0.1).unwrap();
    optimizer.step(&set, 0.1).unwrap();
    waits.set_grad(Some(grad.clone()));
    assert_eq!([&waits, &frozen].map(|p| numbers(p.value())), before);
    assert_eq!(numbers(&moved.grad().unwrap()), numbers(&grad.t().unwrap()));
    optimizer.step([&waits], 0.1).unwrap();
    let steps = ["moved", "waits"].map(|name| optimizer.state(name).unwrap().unwrap().step);
    assert_eq!(steps, [2, 1]);
    assert!(optimizer.state("frozen").unwrap().is_none());
}

#[test]
fn a_nan_is_not_hidden() {
    for (rule, dtype) in RULES.iter().flat_map(|r| [DType::F32, DType::F16].map(|d| (r, d))) {
        let mut set = Parameters::new();
        let p = parameter(&mut set, "p", &[2], dtype);
        let grad = Tensor::new(&[f32::NAN, 1.], &Device::Cpu).unwrap();
        p.set_grad(Some(grad));
        optimizer(*rule).step(&set, 0.1).unwrap();
        let value = numbers(p.value());
        assert!(value[0].is_nan() && value[1].is_finite(), "{rule:?}: {value:?}");
    }
}

#[test]
fn constants_out_of_range_are_named() {
    let message = |rule: Rule| Optimizer::new(rule, Vec::new()).unwrap_err().to_string();
    let adamw = |config: AdamWConfig| message(config.into());
    let sgd = |config: SgdConfig| message(config.into());
    assert_eq!(
        adamw(AdamWConfig { beta2: 1., ..ADAMW }),
        "beta2 must be at least 0 and below 1, got 1"
    );
    assert_eq!(adamw(AdamWConfig { eps: f64::NAN, ..ADAMW }), "eps must be at least 0, got NaN");
    assert!(adamw(AdamWConfig { weight_decay: -1., ..ADAMW }).contains("weight_decay"));
    assert!(sgd(SgdConfig { momentum: -0.5, ..SGD }).contains("momentum must be at least 0"));
    assert!(sgd(SgdConfig { dampening: f64::INFINITY, ..MOMENTUM }).contains("dampening"));
    assert_eq!(
        sgd(SgdConfig { momentum: 0., ..NESTEROV }),
        "momentum must be above 0 for Nesterov's lookahead, got 0"
    );
    assert_eq!(
        sgd(SgdConfig { dampening: 0.5, ..NESTEROV }),
        "dampening must be 0 for Nesterov's lookahead, got 0.5"
    );
    assert!(message(LionConfig { beta1: 1.5, ..LION }.into()).contains("beta1"));
}
