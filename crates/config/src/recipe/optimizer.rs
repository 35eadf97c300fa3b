//! The section `optimizer`: how gradients change the weights.

use crate::{
    choice::choices,
    section::{
        Fixed, Fraction, Kind as _, Name, NonNegative, Only, PairOf, Positive, Reported, Section,
        section,
    },
};

choices! {
    /// A rule by which gradients change the weights.
    pub enum OptimizerName("optimizer") {
        /// Adam with decoupled weight decay, <https://arxiv.org/abs/1711.05101>.
        AdamW = "adamw",
    }
}

section! {
    /// How gradients change the weights.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct Optimizer {
        /// The rule.
        name: OptimizerName = Name::OF.or(OptimizerName::AdamW),
        /// The learning rate at its highest; 0 or greater.
        lr: f64 = NonNegative.required(),
        /// How much of the running means of gradient and squared gradient stays; each in 0..1.
        betas: [f64; 2] = PairOf(Fraction).or([0.9, 0.95]),
        /// What keeps the division by the root of the squared gradient finite; greater than 0.
        eps: f64 = Positive.or(1e-8),
        /// How much of a weight goes per unit of learning rate; 0 or greater.
        weight_decay: f64 = NonNegative.or(0.1),
    }
}

choices! {
    /// An optimizer of torch.
    enum OptimizerTarget("`_target_`") {
        /// The same rule.
        AdamW = "torch.optim.AdamW",
        /// The same rule where nothing decays.
        Adam = "torch.optim.Adam",
    }
}

const FIXED: &[Fixed] = &[
    Fixed { key: "amsgrad", only: &[Only::Flag(false)], reason: "there is no AMSGrad" },
    Fixed { key: "maximize", only: &[Only::Flag(false)], reason: "losses are minimised" },
];

const TARGET: &str = "An optimizer of torch, which then also gives the keys that are left out its \
                      defaults: `betas` [0.9, 0.999], and `weight_decay` 0.01 (AdamW) or 0 (Adam).";

impl Draft {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let target = section.target::<OptimizerTarget>(TARGET);
        let mut draft = Draft::keys(section);
        section.fixed(FIXED);
        draft.take_from(target, section);
        draft
    }

    /// A `_target_` brings its own defaults, and Adam is AdamW only as long as nothing decays.
    fn take_from(
        &mut self,
        target: Result<Option<OptimizerTarget>, Reported>,
        section: &Section<'_>,
    ) {
        let target = match target {
            Ok(Some(target)) => target,
            Ok(None) => return,
            Err(reported) => {
                self.name = Err(reported);
                return;
            }
        };
        if !section.is_set("betas") {
            self.betas = Ok([0.9, 0.999]);
        }
        match (target, section.is_set("weight_decay"), self.weight_decay) {
            (OptimizerTarget::AdamW, false, _) => self.weight_decay = Ok(0.01),
            (OptimizerTarget::Adam, false, _) => self.weight_decay = Ok(0.0),
            (OptimizerTarget::Adam, true, Ok(decay)) if decay > 0.0 => {
                let message = "Adam with a weight decay has no equivalent here, only AdamW";
                let help = "write `torch.optim.AdamW` as `_target_`, or `weight_decay: 0`";
                section.refuse("_target_", message, help);
            }
            (OptimizerTarget::AdamW | OptimizerTarget::Adam, true, _) => {}
        }
    }
}
