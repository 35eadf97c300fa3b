//! Adam with decoupled weight decay, after torch's formula.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor};

use super::update::{Step, update};
use crate::{Error, Parameter};

/// The constants of [`AdamW`]; the default ones are torch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWConfig {
    /// How much of the mean gradient is kept each step.
    pub beta1: f64,
    /// How much of the mean squared gradient is kept each step.
    pub beta2: f64,
    /// What keeps the root of the mean square from zero.
    pub eps: f64,
    /// The fraction of a weight, times the learning rate, that decays each step.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 }
    }
}

/// What the optimiser remembers of one parameter.
#[derive(Clone, Debug)]
pub struct Moments {
    /// How many steps this parameter has made.
    pub step: u32,
    /// The running means of the gradient and of its square, one after the other: `[2, n]`. One
    /// tensor, so that a step can write both in one pass.
    packed: Tensor,
    parameter_shape: candle_core::Shape,
}

impl Moments {
    /// A copy of the running mean of the gradient, of the parameter's shape.
    ///
    /// # Errors
    /// If the copy cannot be made.
    pub fn mean(&self) -> Result<Tensor> {
        self.row(0)
    }

    /// A copy of the running mean of the squared gradient, of the parameter's shape.
    ///
    /// # Errors
    /// If the copy cannot be made.
    pub fn mean_square(&self) -> Result<Tensor> {
        self.row(1)
    }

    fn row(&self, i: usize) -> Result<Tensor> {
        self.packed.get(i)?.force_contiguous()?.reshape(&self.parameter_shape)
    }
}

/// Adam with decoupled weight decay. At step `t`, with `g` the gradient:
///
/// ```text
/// p  =  p (1 - lr · weight_decay)
/// m  =  m + (g - m) (1 - beta1)
/// v  =  v beta2 + g² (1 - beta2)
/// p  =  p - lr / (1 - beta1ᵗ) · m / (sqrt(v) / sqrt(1 - beta2ᵗ) + eps)
/// ```
///
/// The order of operations is torch's, so that the results agree to the last bits. The moments
/// have the parameter's dtype; for parameters of half precision moments and gradients are float32.
///
/// Paper: [Loshchilov and Hutter, 2017](https://arxiv.org/abs/1711.05101).
#[derive(Clone, Debug)]
pub struct AdamW {
    config: AdamWConfig,
    decays: fn(&Parameter) -> bool,
    state: BTreeMap<String, Moments>,
}

impl AdamW {
    /// An optimiser that decays all parameters but vectors: norms and biases keep their size.
    ///
    /// # Errors
    /// If a constant is out of its range.
    pub fn new(config: AdamWConfig) -> Result<Self> {
        Self::with_decay(config, |parameter| parameter.shape().rank() > 1)
    }

    /// An optimiser that decays the parameters for which `decays` is true.
    ///
    /// # Errors
    /// If a constant is out of its range.
    pub fn with_decay(config: AdamWConfig, decays: fn(&Parameter) -> bool) -> Result<Self> {
        for (what, actual) in [("beta1", config.beta1), ("beta2", config.beta2)] {
            if !(0. ..1.).contains(&actual) {
                return Err(
                    Error::Setting { what, expected: "at least 0 and below 1", actual }.into()
                );
            }
        }
        for (what, actual) in [("eps", config.eps), ("weight_decay", config.weight_decay)] {
            if !(actual.is_finite() && actual >= 0.) {
                return Err(Error::Setting { what, expected: "at least 0", actual }.into());
            }
        }
        Ok(Self { config, decays, state: BTreeMap::new() })
    }

    /// Updates every parameter that has a gradient; those without one, and frozen ones, stay.
    ///
    /// The gradients are left as they are: clear them with
    /// [`Parameters::zero_grad`](crate::Parameters::zero_grad). No backward may be under way: a
    /// graph built before the step would see the new weights.
    ///
    /// # Errors
    /// If candle cannot; parameters before the failing one are updated.
    pub fn step<'a>(
        &mut self,
        parameters: impl IntoIterator<Item = &'a Parameter>,
        lr: f64,
    ) -> Result<()> {
        for parameter in parameters {
            let (Some(var), Some(grad)) = (parameter.var(), parameter.grad()) else { continue };
            if grad.shape() != parameter.shape() {
                return Err(Error::GradientMismatch {
                    of: format!("`{}`", parameter.name()),
                    expected: parameter.shape().clone(),
                    expected_dtype: parameter.dtype(),
                    actual: grad.shape().clone(),
                    actual_dtype: grad.dtype(),
                }
                .into());
            }
            let moments = match self.state.get_mut(parameter.name()) {
                Some(moments) => moments,
                None => self
                    .state
                    .entry(parameter.name().to_owned())
                    .or_insert(zero_moments(parameter)?),
            };
            let num_steps = moments.step + 1;
            let AdamWConfig { beta1, beta2, eps, weight_decay } = self.config;
            let power = |beta: f64| beta.powi(i32::try_from(num_steps).unwrap_or(i32::MAX));
            let decay = if (self.decays)(parameter) { weight_decay } else { 0. };
            let step = Step {
                keep: 1. - lr * decay,
                new_mean: 1. - beta1,
                beta2,
                new_square: 1. - beta2,
                root_correction: (1. - power(beta2)).sqrt(),
                eps,
                step_size: lr / (1. - power(beta1)),
            };
            update(var, &grad, &moments.packed, &step)?;
            moments.step = num_steps;
        }
        Ok(())
    }

    /// What is remembered of the parameter `name`, `None` before its first step.
    pub fn moments(&self, name: &str) -> Option<&Moments> {
        self.state.get(name)
    }
}

fn zero_moments(parameter: &Parameter) -> Result<Moments> {
    let dtype = if parameter.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    Ok(Moments {
        step: 0,
        packed: Tensor::zeros((2, parameter.num_elements()), dtype, parameter.device())?,
        parameter_shape: parameter.shape().clone(),
    })
}
