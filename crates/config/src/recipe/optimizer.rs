//! The sections `optimizer` and `clip_grad_norm`: how gradients change the weights.

use crate::{
    choice::choices,
    section::{Reported, Section, choice, fraction, non_negative, pair_of, positive},
};

choices! {
    /// A rule by which gradients change the weights.
    pub enum OptimizerName("optimizer") {
        /// Adam with decoupled weight decay, <https://arxiv.org/abs/1711.05101>.
        AdamW = "adamw",
    }
}

/// How gradients change the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Optimizer {
    /// The rule.
    pub name: OptimizerName,
    /// The learning rate at its highest; 0 or greater.
    pub lr: f64,
    /// How much of the running means of gradient and squared gradient stays; each in 0..1.
    pub betas: [f64; 2],
    /// What keeps the division by the root of the squared gradient finite; greater than 0.
    pub eps: f64,
    /// How much of a weight goes per unit of learning rate; 0 or greater.
    pub weight_decay: f64,
}

impl Optimizer {
    pub(super) fn read(mut section: Section<'_>) -> Result<Self, Reported> {
        let name = section.or("name", OptimizerName::AdamW, choice);
        let lr = section.required("lr", non_negative);
        let betas = section.or("betas", [0.9, 0.95], pair_of(fraction));
        let eps = section.or("eps", 1e-8, positive);
        let weight_decay = section.or("weight_decay", 0.1, non_negative);
        section.finish();
        Ok(Optimizer {
            name: name?,
            lr: lr?,
            betas: betas?,
            eps: eps?,
            weight_decay: weight_decay?,
        })
    }
}

/// How large gradients may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipGradNorm {
    /// The largest norm of all gradients together, beyond which they are scaled down to it; `None`
    /// leaves them as they are.
    pub max_norm: Option<f64>,
}

impl ClipGradNorm {
    pub(super) fn read(mut section: Section<'_>) -> Result<Self, Reported> {
        let max_norm = section.optional("max_norm", positive);
        section.finish();
        Ok(ClipGradNorm { max_norm: max_norm? })
    }
}
