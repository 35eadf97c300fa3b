//! Stochastic gradient descent with coupled weight decay, after torch's formula.

use candle_core::{Result, Tensor};

use super::on_gpu::GpuFormula;
use super::update::Formula;
use super::{Lookahead, SgdConfig};
use crate::cpu::Real;

pub(super) const NAMES: &[&str] = &["momentum_buffer"];

/// The factors of one step without momentum.
pub(super) struct Plain {
    weight_decay: f64,
    lr: f64,
}

impl Plain {
    pub(super) fn new(weight_decay: f64, lr: f64) -> Self {
        Self { weight_decay, lr }
    }
}

impl Formula<0> for Plain {
    fn on_numbers<T: Real>(&self) -> impl Fn(T, T, [T; 0]) -> (T, [T; 0]) {
        let [weight_decay, lr] = [self.weight_decay, self.lr].map(T::constant);
        #[inline(always)]
        move |value, grad, rows| (value - (grad + value * weight_decay) * lr, rows)
    }

    fn on_gpu(&self) -> GpuFormula {
        GpuFormula {
            name: "sgd",
            code: "value = value - (grad + value * f0) * f1;",
            factors: vec![self.weight_decay, self.lr],
        }
    }

    fn on_tensors(
        &self,
        value: &Tensor,
        grad: &Tensor,
        rows: [Tensor; 0],
    ) -> Result<(Tensor, [Tensor; 0])> {
        let grad = (grad + (value * self.weight_decay)?)?;
        Ok(((value - (grad * self.lr)?)?, rows))
    }
}

/// The factors of one step with momentum: it takes `from_grad` times the gradient and
/// `from_momentum` times the new momentum.
pub(super) struct Momentum {
    weight_decay: f64,
    lr: f64,
    keep: f64,
    add: f64,
    from_grad: f64,
    from_momentum: f64,
}

impl Momentum {
    /// Those of the `step`-th step, counted from 1; the first gradient is the momentum as it is.
    pub(super) fn new(config: &SgdConfig, weight_decay: f64, lr: f64, step: u32) -> Self {
        let &SgdConfig { momentum, dampening, .. } = config;
        let (keep, add) = if step <= 1 { (0., 1.) } else { (momentum, 1. - dampening) };
        let (from_grad, from_momentum) = match config.lookahead {
            Lookahead::None => (0., 1.),
            Lookahead::Nesterov => (1., momentum),
        };
        Self { weight_decay, lr, keep, add, from_grad, from_momentum }
    }
}

impl Formula<1> for Momentum {
    fn on_numbers<T: Real>(&self) -> impl Fn(T, T, [T; 1]) -> (T, [T; 1]) {
        let [weight_decay, lr, keep] = [self.weight_decay, self.lr, self.keep].map(T::constant);
        let [add, from_grad, from_momentum] =
            [self.add, self.from_grad, self.from_momentum].map(T::constant);
        #[inline(always)]
        move |value, grad, [momentum]| {
            let grad = grad + value * weight_decay;
            let momentum = momentum * keep + grad * add;
            let update = grad * from_grad + momentum * from_momentum;
            (value - update * lr, [momentum])
        }
    }

    fn on_gpu(&self) -> GpuFormula {
        let &Self { weight_decay, lr, keep, add, from_grad, from_momentum } = self;
        GpuFormula {
            name: "momentum",
            code: "grad = grad + value * f0; \
                   r0 = r0 * f2 + grad * f3; \
                   value = value - (grad * f4 + r0 * f5) * f1;",
            factors: vec![weight_decay, lr, keep, add, from_grad, from_momentum],
        }
    }

    fn on_tensors(
        &self,
        value: &Tensor,
        grad: &Tensor,
        [momentum]: [Tensor; 1],
    ) -> Result<(Tensor, [Tensor; 1])> {
        let grad = (grad + (value * self.weight_decay)?)?;
        let momentum = ((momentum * self.keep)? + (&grad * self.add)?)?;
        let update = ((grad * self.from_grad)? + (&momentum * self.from_momentum)?)?;
        Ok(((value - (update * self.lr)?)?, [momentum]))
    }
}
