//! Adam with decoupled weight decay, after torch's formula.

use candle_core::{Result, Tensor};

use super::AdamWConfig;
use super::on_gpu::GpuFormula;
use super::update::Formula;
use crate::cpu::Real;

pub(super) const NAMES: &[&str] = &["exp_avg", "exp_avg_sq"];

/// The factors of one step.
pub(super) struct AdamW {
    keep: f64,
    new_mean: f64,
    beta2: f64,
    new_square: f64,
    root_correction: f64,
    eps: f64,
    step_size: f64,
}

impl AdamW {
    /// Those of the `step`-th step, counted from 1.
    pub(super) fn new(config: &AdamWConfig, weight_decay: f64, lr: f64, step: u32) -> Self {
        let power = |beta: f64| beta.powi(i32::try_from(step).unwrap_or(i32::MAX));
        Self {
            keep: 1. - lr * weight_decay,
            new_mean: 1. - config.beta1,
            beta2: config.beta2,
            new_square: 1. - config.beta2,
            root_correction: (1. - power(config.beta2)).sqrt(),
            eps: config.eps,
            step_size: lr / (1. - power(config.beta1)),
        }
    }
}

impl Formula<2> for AdamW {
    fn on_numbers<T: Real>(&self) -> impl Fn(T, T, [T; 2]) -> (T, [T; 2]) {
        let &Self { keep, new_mean, beta2, new_square, root_correction, eps, step_size } = self;
        let [keep, new_mean, beta2, new_square] =
            [keep, new_mean, beta2, new_square].map(T::constant);
        let [root_correction, eps, step_size] = [root_correction, eps, step_size].map(T::constant);
        #[inline(always)]
        move |value, grad, [mean, square]| {
            let mean = mean + (grad - mean) * new_mean;
            let square = square * beta2 + grad * grad * new_square;
            let root = square.sqrt() / root_correction + eps;
            (value * keep - step_size * mean / root, [mean, square])
        }
    }

    fn on_gpu(&self) -> GpuFormula {
        GpuFormula {
            name: "adamw",
            code: "r0 = r0 + (grad - r0) * f1; \
                   r1 = r1 * f2 + grad * grad * f3; \
                   value = value * f0 - f6 * r0 / (SQRT(r1) / f4 + f5);",
            factors: vec![
                self.keep,
                self.new_mean,
                self.beta2,
                self.new_square,
                self.root_correction,
                self.eps,
                self.step_size,
            ],
        }
    }

    fn on_tensors(
        &self,
        value: &Tensor,
        grad: &Tensor,
        [mean, square]: [Tensor; 2],
    ) -> Result<(Tensor, [Tensor; 2])> {
        let mean = (&mean + ((grad - &mean)? * self.new_mean)?)?;
        let square = ((square * self.beta2)? + (grad.sqr()? * self.new_square)?)?;
        let root = ((square.sqrt()? / self.root_correction)? + self.eps)?;
        let value = ((value * self.keep)? - ((&mean / root)? * self.step_size)?)?;
        Ok((value, [mean, square]))
    }
}
