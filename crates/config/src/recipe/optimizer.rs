//! The section `optimizer`: how gradients change the weights.

use crate::{
    choice::choices,
    section::{
        Field, Fixed, Flag, Fraction, Kind as _, ListOf, Name, NonNegative, Only, PairOf, Positive,
        Reported, Section, Size, Text, section,
    },
};

choices! {
    /// A rule by which gradients change the weights.
    pub enum OptimizerName("optimizer") {
        /// Adam with decoupled weight decay, <https://arxiv.org/abs/1711.05101>.
        AdamW = "adamw",
        /// Gradient descent with momentum, as torch's.
        Sgd = "sgd",
        /// The sign of a running mean, <https://arxiv.org/abs/2302.06675>.
        Lion = "lion",
    }
}

choices! {
    /// What happens when a loss or a gradient is no number.
    pub enum OnNonFinite("way with numbers that are none") {
        /// The run ends.
        Stop = "stop",
        /// The step changes nothing.
        Skip = "skip",
        /// The step changes nothing, and the learning rate is half of what it was from then on.
        LowerLr = "lower_lr",
    }
}

/// What some parameters have for themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamGroup {
    /// Names of parameters or modules, in which `*` stands for anything.
    pub params: Vec<String>,
    /// Their decay, in place of the optimizer's.
    pub weight_decay: Option<f64>,
    /// What the learning rate is multiplied by for them.
    pub lr_factor: f64,
}

section! {
    /// How gradients change the weights.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Optimizer {
        /// The rule.
        name: OptimizerName = Name::OF.or(OptimizerName::AdamW),
        /// The learning rate at its highest; greater than 0. It has to be there if anything is trained.
        lr: f64 = Positive.or(0.0),
        /// How much of the running means of gradient and squared gradient stays; each in 0..1. Of
        /// `adamw`, and of `lion` with [0.9, 0.99] for a default.
        betas: [f64; 2] = PairOf(Fraction).or([0.9, 0.95]),
        /// What keeps the division by the root of the squared gradient finite; greater than 0.
        eps: f64 = Positive.or(1e-8),
        /// How much of a weight goes per unit of learning rate; 0 or greater.
        weight_decay: f64 = NonNegative.or(0.1),
        /// How much of the former step stays in the next, of `sgd`; in 0..1.
        momentum: f64 = Fraction.or(0.0),
        /// Which part of the gradient does not get into the momentum, of `sgd`; in 0..1.
        dampening: f64 = Fraction.or(0.0),
        /// Whether the gradient is looked at where the momentum leads, of `sgd`.
        nesterov: bool = Flag.or(false),
        /// Whether weights of half precision are kept in float32 besides, which the steps change.
        master_weights: bool = Flag.or(true),
        /// What happens when a loss or a gradient is no number.
        on_non_finite: OnNonFinite = Name::OF.or(OnNonFinite::Stop),
        /// After how many steps in a row that changed nothing the run ends.
        max_skipped_steps: usize = Size.or(10_usize),
        /// What some parameters have for themselves; the first group that a parameter is in counts.
        param_groups: Vec<ParamGroup> = Groups,
    }
}

choices! {
    /// An optimizer of torch.
    enum OptimizerTarget("`_target_`") {
        /// The same rule.
        AdamW = "torch.optim.AdamW",
        /// The same rule where nothing decays.
        Adam = "torch.optim.Adam",
        /// Gradient descent.
        Sgd = "torch.optim.SGD",
    }
}

const FIXED: &[Fixed] = &[
    Fixed { key: "amsgrad", only: &[Only::Flag(false)], reason: "there is no AMSGrad" },
    Fixed { key: "maximize", only: &[Only::Flag(false)], reason: "losses are minimised" },
];

const TARGET: &str = "An optimizer of torch, which then also gives the keys that are left out its \
                      defaults: `betas` [0.9, 0.999], and `weight_decay` 0.01 (AdamW) or 0 (Adam and \
                      SGD).";

/// The key `param_groups`.
struct Groups;

impl Field for Groups {
    type Out = Vec<ParamGroup>;

    fn read(
        self,
        section: &mut Section<'_>,
        key: &'static str,
        doc: &str,
    ) -> Result<Vec<ParamGroup>, Reported> {
        let groups = section.each(key, doc, |group| {
            group.describe("What some parameters have for themselves.");
            let doc = "Names of parameters or modules, in which `*` stands for anything.";
            let params = group.field("params", doc, ListOf(Text).required());
            let doc = "Their decay, in place of the optimizer's.";
            let weight_decay = group.field("weight_decay", doc, NonNegative.optional());
            let doc = "What the learning rate is multiplied by for them.";
            let lr_factor = group.field("lr_factor", doc, NonNegative.or(1.0));
            Ok(ParamGroup { params: params?, weight_decay: weight_decay?, lr_factor: lr_factor? })
        });
        Ok(groups?.unwrap_or_default())
    }
}

impl Draft {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let target = section.target::<OptimizerTarget>(TARGET);
        let mut draft = Draft::keys(section);
        section.fixed(FIXED);
        draft.take_from(target, section);
        draft.settle_rule(section);
        draft
    }

    /// Each rule has keys and defaults of its own.
    fn settle_rule(&mut self, section: &Section<'_>) {
        let Ok(name) = self.name else { return };
        if name == OptimizerName::Lion && !section.is_set("betas") {
            self.betas = Ok([0.9, 0.99]);
        }
        if name == OptimizerName::Sgd && !section.is_set("weight_decay") {
            self.weight_decay = Ok(0.0);
        }
        let foreign: &[&str] = match name {
            OptimizerName::AdamW => &["momentum", "dampening", "nesterov"],
            OptimizerName::Sgd => &["betas", "eps"],
            OptimizerName::Lion => &["momentum", "dampening", "nesterov", "eps"],
        };
        for key in foreign.iter().filter(|key| section.is_set(key)) {
            section.refuse(key, format!("{name} has no such constant"), "leave it out");
        }
        if let (Ok(true), Ok(momentum), Ok(dampening)) =
            (self.nesterov, self.momentum, self.dampening)
            && (momentum == 0.0 || dampening > 0.0)
        {
            let message = "needs a momentum, and no dampening";
            section.refuse("nesterov", message, "set `momentum`, such as 0.9, and no `dampening`");
        }
        if let (Ok(OnNonFinite::Stop), true) =
            (self.on_non_finite, section.is_set("max_skipped_steps"))
        {
            let message = "has no effect, the first number that is none ends the run";
            section.refuse("max_skipped_steps", message, "set `on_non_finite`, or leave it out");
        }
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
        if target == OptimizerTarget::Sgd {
            self.name = Ok(OptimizerName::Sgd);
            return;
        }
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
            (OptimizerTarget::AdamW | OptimizerTarget::Adam | OptimizerTarget::Sgd, _, _) => {}
        }
    }
}
