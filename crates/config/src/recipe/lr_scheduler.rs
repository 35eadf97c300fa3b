//! The section `lr_scheduler`: how the learning rate changes over the steps.

use crate::{
    choice::choices,
    section::{Fixed, Kind as _, Name, Natural, NonNegative, Only, Section, section},
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

section! {
    /// How the learning rate changes: up to `optimizer.lr`, then down to `min_lr` at the last step.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct LrScheduler {
        /// The way down.
        lr_decay_style: LrDecayStyle = Name::OF.or(LrDecayStyle::Constant),
        /// Steps on the way up; fewer than `step_scheduler.max_steps`.
        lr_warmup_steps: usize = Natural.or(0_usize),
        /// The lowest learning rate after the way up; at most `optimizer.lr`, and 0 for the style
        /// `constant`, which never goes down.
        min_lr: f64 = NonNegative.or(0.0),
    }
}

const FIXED: &[Fixed] = &[
    Fixed { key: "init_lr", only: &[Only::Number(0)], reason: "the way up begins at 0" },
    Fixed {
        key: "wd_incr_style",
        only: &[Only::Text("constant")],
        reason: "the weight decay is the same in all steps",
    },
];

impl Draft {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let draft = Draft::keys(section);
        section.fixed(FIXED);
        if let (Ok(LrDecayStyle::Constant), Ok(min_lr)) = (draft.lr_decay_style, draft.min_lr)
            && min_lr > 0.0
        {
            let message = format!("{min_lr} has no effect, a constant learning rate never decays");
            section.refuse("min_lr", message, "set `lr_decay_style` to `linear` or `cosine`");
        }
        draft
    }
}
