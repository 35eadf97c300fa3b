//! Lion, the sign of a momentum, after its paper.

use candle_core::{Result, Tensor};

use super::LionConfig;
use super::on_gpu::GpuFormula;
use super::update::Formula;
use crate::cpu::Real;

pub(super) const NAMES: &[&str] = &["exp_avg"];

/// The factors of one step.
pub(super) struct Lion {
    keep: f64,
    beta1: f64,
    beta2: f64,
    lr: f64,
}

impl Lion {
    pub(super) fn new(config: &LionConfig, weight_decay: f64, lr: f64) -> Self {
        let &LionConfig { beta1, beta2, .. } = config;
        Self { keep: 1. - lr * weight_decay, beta1, beta2, lr }
    }
}

impl Formula<1> for Lion {
    fn on_numbers<T: Real>(&self) -> impl Fn(T, T, [T; 1]) -> (T, [T; 1]) {
        let [keep, lr, beta1, beta2] =
            [self.keep, self.lr, self.beta1, self.beta2].map(T::constant);
        let [new1, new2] = [1. - self.beta1, 1. - self.beta2].map(T::constant);
        let [zero, one] = [0., 1.].map(T::constant);
        #[inline(always)]
        move |value, grad, [mean]| {
            let sum = mean * beta1 + grad * new1;
            // Zero has no sign, and a NaN stays one: nobody is to go on from it unseen.
            let below = if sum < zero { zero - one } else { sum };
            let sign = if sum > zero { one } else { below };
            (value * keep - sign * lr, [mean * beta2 + grad * new2])
        }
    }

    fn on_gpu(&self) -> GpuFormula {
        GpuFormula {
            name: "lion",
            code: "REAL sum = r0 * f1 + grad * f2; \
                   REAL sign = sum > 0 ? 1 : (sum < 0 ? -1 : sum); \
                   r0 = r0 * f3 + grad * f4; \
                   value = value * f0 - sign * f5;",
            factors: vec![
                self.keep,
                self.beta1,
                1. - self.beta1,
                self.beta2,
                1. - self.beta2,
                self.lr,
            ],
        }
    }

    fn on_tensors(
        &self,
        value: &Tensor,
        grad: &Tensor,
        [mean]: [Tensor; 1],
    ) -> Result<(Tensor, [Tensor; 1])> {
        let sum = ((&mean * self.beta1)? + (grad * (1. - self.beta1))?)?;
        // candle's sign of a NaN is a number.
        let sign = sum.eq(&sum)?.where_cond(&sum.sign()?, &sum)?;
        let value = ((value * self.keep)? - (sign * self.lr)?)?;
        let mean = ((mean * self.beta2)? + (grad * (1. - self.beta2))?)?;
        Ok((value, [mean]))
    }
}
