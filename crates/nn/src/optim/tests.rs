//! Tests of AdamW against torch's formula, one number at a time.

use candle_core::{DType, Device, Tensor};

use super::{AdamW, AdamWConfig};
use crate::oracle::{numbers, parameter, random};
use crate::{Parameter, Parameters};

const CONFIG: AdamWConfig = AdamWConfig { beta1: 0.8, beta2: 0.95, eps: 1e-6, weight_decay: 0.3 };

struct Reference {
    value: Vec<f64>,
    mean: Vec<f64>,
    square: Vec<f64>,
    step: i32,
}

impl Reference {
    fn new(p: &Parameter) -> Self {
        let zeros = vec![0.; p.num_elements()];
        Self { value: numbers(p.value()), mean: zeros.clone(), square: zeros, step: 0 }
    }

    fn step(&mut self, grad: &[f64], lr: f64, decay: f64) {
        self.step += 1;
        let correction1 = 1. - CONFIG.beta1.powi(self.step);
        let correction2 = 1. - CONFIG.beta2.powi(self.step);
        for (i, &g) in grad.iter().enumerate() {
            self.value[i] -= lr * decay * self.value[i];
            self.mean[i] = CONFIG.beta1 * self.mean[i] + (1. - CONFIG.beta1) * g;
            self.square[i] = CONFIG.beta2 * self.square[i] + (1. - CONFIG.beta2) * g * g;
            let mean = self.mean[i] / correction1;
            self.value[i] -= lr * mean / ((self.square[i] / correction2).sqrt() + CONFIG.eps);
        }
    }
}

fn assert_near(actual: &Tensor, expected: &[f64], tolerance: f64) {
    for (a, e) in numbers(actual).iter().zip(expected) {
        assert!((a - e).abs() <= tolerance * e.abs().max(1.), "{a}, should be {e}");
    }
}

#[test]
fn follows_torchs_formula_over_several_steps() {
    for (dtype, tolerance) in [(DType::F32, 2e-6), (DType::F64, 1e-14), (DType::BF16, 0.05)] {
        let mut set = Parameters::new();
        let matrix = parameter(&mut set, "matrix", &[3, 4], dtype);
        let vector = parameter(&mut set, "vector", &[5], dtype);
        let mut references = [Reference::new(&matrix), Reference::new(&vector)];
        let mut optimiser = AdamW::new(CONFIG).unwrap();
        for (step, lr) in (1u32..).zip([0.1, 0.05, 0.2, 0.01, 0.1]) {
            for (p, reference) in set.iter().zip(&mut references) {
                let grad = random(p.shape().dims(), u64::from(step), p.grad_dtype());
                p.set_grad(Some(grad.clone()));
                // Vectors do not decay.
                reference.step(&numbers(&grad), lr, if p.name() == "matrix" { 0.3 } else { 0. });
            }
            optimiser.step(&set, lr).unwrap();
            for (p, reference) in set.iter().zip(&references) {
                assert_near(p.value(), &reference.value, tolerance);
                let moments = optimiser.moments(p.name()).unwrap();
                assert_eq!(moments.step, step);
                assert_eq!(moments.mean().unwrap().shape(), p.shape());
                // Those of half precision are float32 throughout.
                let tolerance = tolerance.min(2e-6);
                assert_near(&moments.mean().unwrap(), &reference.mean, tolerance);
                assert_near(&moments.mean_square().unwrap(), &reference.square, tolerance);
            }
        }
    }
}

#[test]
fn the_first_step_is_as_computed_by_hand() {
    let mut set = Parameters::new();
    let p = set.add("p", Tensor::new(&[[1f64, -2.]], &Device::Cpu).unwrap(), true).unwrap();
    p.set_grad(Some(Tensor::new(&[[4f64, -0.5]], &Device::Cpu).unwrap()));
    let config = AdamWConfig { eps: 0., weight_decay: 0.5, ..AdamWConfig::default() };
    AdamW::new(config).unwrap().step(&set, 0.1).unwrap();
    // Decay by 0.05, then one learning rate against the gradient's sign: that is the first step.
    assert_near(p.value(), &[0.95 - 0.1, -1.9 + 0.1], 1e-14);
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
    let mut optimiser = AdamW::new(CONFIG).unwrap();
    optimiser.step(&set, 0.1).unwrap();
    optimiser.step(&set, 0.1).unwrap();
    waits.set_grad(Some(grad.clone()));
    assert_eq!([&waits, &frozen].map(|p| numbers(p.value())), before);
    assert_eq!(numbers(&moved.grad().unwrap()), numbers(&grad.t().unwrap()));
    optimiser.step([&waits], 0.1).unwrap();
    let steps = ["moved", "waits"].map(|name| optimiser.moments(name).unwrap().step);
    assert_eq!(steps, [2, 1]);
    assert!(optimiser.moments("frozen").is_none());
}

#[test]
fn the_caller_decides_what_decays() {
    let decayed = |decays: fn(&Parameter) -> bool| {
        let mut set = Parameters::new();
        let p = parameter(&mut set, "p", &[2, 2], DType::F64);
        p.set_grad(Some(p.value().detach().zeros_like().unwrap()));
        let before = numbers(p.value());
        AdamW::with_decay(CONFIG, decays).unwrap().step(&set, 0.1).unwrap();
        numbers(p.value())[0] / before[0]
    };
    assert!((decayed(|p| p.name() == "p") - 0.97).abs() < 1e-15);
    assert_eq!(decayed(|p| p.name() == "q"), 1.);
}

#[test]
fn constants_out_of_range_are_named() {
    let message = |config| AdamW::new(config).unwrap_err().to_string();
    let config = AdamWConfig { beta2: 1., ..CONFIG };
    assert_eq!(message(config), "beta2 must be at least 0 and below 1, got 1");
    assert_eq!(message(AdamWConfig { eps: f64::NAN, ..CONFIG }), "eps must be at least 0, got NaN");
    assert!(message(AdamWConfig { weight_decay: -1., ..CONFIG }).contains("weight_decay"));
}
