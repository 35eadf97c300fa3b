//! An optimiser: a rule, the groups of parameters that differ, and what is remembered of each.

use std::collections::BTreeMap;

use candle_core::{DType, Result};

use super::state::{MASTER, Memory, State};
use super::update::update;
use super::{Group, Rule, adamw, groups, lion, sgd};
use crate::{Error, Parameter};

/// Whether an optimiser keeps parameters of half precision in float32 as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MasterWeights {
    /// It does, from their first step on: steps add up that are too small to change a number of
    /// half precision, and the parameter is what that sum is rounded to. Costs four bytes a number.
    #[default]
    Float32,
    /// Each step begins with the parameter as it was rounded.
    None,
}

/// An optimiser, which updates parameters by a [`Rule`]. With `p` a parameter, `g` its gradient and
/// `d` its weight decay, step `t` is:
///
/// ```text
/// AdamW   p  =  p (1 - lr · d)
///         m  =  m + (g - m) (1 - beta1)
///         v  =  v beta2 + g² (1 - beta2)
///         p  =  p - lr / (1 - beta1ᵗ) · m / (sqrt(v) / sqrt(1 - beta2ᵗ) + eps)
///
/// Sgd     g  =  g + p d
///         m  =  g if t = 1, else m · momentum + g (1 - dampening)
///         p  =  p - lr · m, or with Nesterov's lookahead  p - lr (g + m · momentum)
///
/// Lion    p  =  p (1 - lr · d) - lr · sign(m beta1 + g (1 - beta1))
///         m  =  m beta2 + g (1 - beta2)
/// ```
///
/// The order of operations in the first two is torch's, so that the results agree to the last bits.
/// Everything is computed in float32, or in float64 for parameters of that; what is remembered is
/// of that type too.
///
/// Papers: [Loshchilov and Hutter, 2017](https://arxiv.org/abs/1711.05101) for AdamW,
/// [Chen et al., 2023](https://arxiv.org/abs/2302.06675) for Lion,
/// [Micikevicius et al., 2017](https://arxiv.org/abs/1710.03740) for master weights.
///
/// # Examples
/// ```
/// use autopipe_nn::Parameters;
/// use autopipe_nn::optim::{Group, LionConfig, Optimizer};
/// use candle_core::{DType, Device, Tensor};
///
/// let mut parameters = Parameters::new();
/// let ones = Tensor::ones((2, 3), DType::F32, &Device::Cpu)?;
/// let weight = parameters.add("embedding.weight", ones.clone(), true)?;
/// weight.accumulate(&ones)?;
///
/// let slow = Group { lr_factor: 0.5, ..Group::new(|name| name.starts_with("embedding.")) };
/// let mut optimizer = Optimizer::new(LionConfig::default(), vec![slow])?;
/// optimizer.step(&parameters, 0.25)?;
/// assert_eq!(weight.value().to_vec2::<f32>()?, [[1. - 0.125; 3]; 2]);
///
/// let state = optimizer.state("embedding.weight")?.unwrap(); // for a checkpoint
/// assert_eq!((state.step, state.tensors["exp_avg"].dims()), (1, &[2, 3][..]));
/// # Ok::<(), autopipe_nn::Error>(())
/// ```
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    groups: Vec<Group>,
    masters: MasterWeights,
    memories: BTreeMap<String, Memory>,
}

impl Optimizer {
    /// An optimiser in which a parameter is updated as the first of the `groups` says that matches
    /// its name. Those that none matches take the learning rate as it is and decay by the rule's
    /// constant, but for vectors: norms and biases keep their size.
    ///
    /// # Errors
    /// If a constant is out of its range.
    pub fn new(rule: impl Into<Rule>, groups: Vec<Group>) -> Result<Self> {
        let rule = rule.into();
        rule.check()?;
        groups::check(&groups)?;
        Ok(Self { rule, groups, masters: MasterWeights::default(), memories: BTreeMap::new() })
    }

    /// The same with or without float32 copies of half-precision parameters, before any step.
    #[must_use]
    pub fn with_master_weights(self, masters: MasterWeights) -> Self {
        Self { masters, memories: BTreeMap::new(), ..self }
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
            let (weight_decay, lr_factor) =
                groups::of_parameter(&self.groups, &self.rule, parameter);
            let lr = lr * lr_factor;
            let names = self.state_names(parameter.dtype());
            let memory = match self.memories.get_mut(parameter.name()) {
                Some(memory) => memory,
                None => self
                    .memories
                    .entry(parameter.name().to_owned())
                    .or_insert(Memory::new(parameter, names)?),
            };
            memory.check(parameter)?;
            let step = memory.step.saturating_add(1);
            let packed = &memory.packed;
            match &self.rule {
                Rule::AdamW(config) => {
                    let rule = adamw::AdamW::new(config, weight_decay, lr, step);
                    update(&rule, var, &grad, packed)?;
                }
                Rule::Sgd(config) if config.momentum == 0. => {
                    update(&sgd::Plain::new(weight_decay, lr), var, &grad, packed)?;
                }
                Rule::Sgd(config) => {
                    let rule = sgd::Momentum::new(config, weight_decay, lr, step);
                    update(&rule, var, &grad, packed)?;
                }
                Rule::Lion(config) => {
                    update(&lion::Lion::new(config, weight_decay, lr), var, &grad, packed)?;
                }
            }
            memory.step = step;
        }
        Ok(())
    }

    /// The names of the tensors in the [`State`] of a parameter of this dtype: the rule's, and
    /// `master` last if there are master weights for it.
    pub fn state_names(&self, dtype: DType) -> Vec<&'static str> {
        let is_half = matches!(dtype, DType::F16 | DType::BF16);
        let has_master = match self.masters {
            MasterWeights::Float32 => is_half,
            MasterWeights::None => false,
        };
        let master = has_master.then_some(MASTER);
        self.rule.state_names().iter().copied().chain(master).collect()
    }

    /// A copy of what is remembered of the parameter `name`, `None` before its first step.
    ///
    /// # Errors
    /// If the copy cannot be made.
    pub fn state(&self, name: &str) -> Result<Option<State>> {
        self.memories.get(name).map(Memory::save).transpose()
    }

    /// Takes a state in place of what is remembered of `parameter`: from the same value, steps go
    /// on as they would have where the state was taken, to the bit. The value is not part of it; but
    /// with master weights the next step begins with those, whatever the parameter has meanwhile.
    ///
    /// # Errors
    /// If the tensors are not those of [`Self::state_names`], of the parameter's shape, and float32,
    /// or float64 for a parameter of that; what is remembered is as it was.
    pub fn load_state(&mut self, parameter: &Parameter, state: &State) -> Result<()> {
        let memory = Memory::load(parameter, self.state_names(parameter.dtype()), state)?;
        self.memories.insert(parameter.name().to_owned(), memory);
        Ok(())
    }
}
