//! The section `lr_scheduler`: how the learning rate changes over the steps.

use super::{Optimizer, StepScheduler};
use crate::{
    choice::choices,
    section::{Reported, Section, choice, natural, non_negative},
};

choices! {
    /// The way from the highest learning rate down to the lowest.
    pub enum LrDecayStyle("decay style") {
        /// No way down.
        Constant = "constant",
        /// A straight line.
        Linear = "linear",
        /// Half a period of the cosine.
        Cosine = "cosine",
    }
}

/// How the learning rate changes: up to `optimizer.lr`, then down to `min_lr` at the last step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LrScheduler {
    /// The way down.
    pub lr_decay_style: LrDecayStyle,
    /// Steps on the way up; fewer than `step_scheduler.max_steps`.
    pub lr_warmup_steps: usize,
    /// The lowest learning rate after the way up; at most `optimizer.lr`, and 0 for
    /// [`LrDecayStyle::Constant`], which never goes down.
    pub min_lr: f64,
}

impl LrScheduler {
    pub(super) fn read(
        mut section: Section<'_>,
        steps: Option<&StepScheduler>,
        optimizer: Option<&Optimizer>,
    ) -> Result<Self, Reported> {
        let style = section.or("lr_decay_style", LrDecayStyle::Constant, choice);
        let warmup = section.or("lr_warmup_steps", 0, natural);
        let min_lr = section.or("min_lr", 0.0, non_negative);
        if let (Ok(warmup), Some(StepScheduler { max_steps, .. })) = (warmup, steps)
            && warmup >= *max_steps
        {
            let message =
                format!("a warm-up of {warmup} steps does not end within `max_steps` {max_steps}");
            section.refuse("lr_warmup_steps", message, "give fewer warm-up steps or more steps");
        }
        if let (Ok(min_lr), Some(Optimizer { lr, .. })) = (min_lr, optimizer)
            && min_lr > *lr
        {
            let message = format!("{min_lr} is greater than `optimizer.lr` {lr}");
            section.refuse("min_lr", message, "");
        }
        if let (Ok(LrDecayStyle::Constant), Ok(min_lr)) = (style, min_lr)
            && min_lr > 0.0
        {
            let message = format!("{min_lr} has no effect, a constant learning rate never decays");
            section.refuse("min_lr", message, "set `lr_decay_style` to `linear` or `cosine`");
        }
        section.finish();
        Ok(LrScheduler { lr_decay_style: style?, lr_warmup_steps: warmup?, min_lr: min_lr? })
    }
}
