//! The section `lr_scheduler`: how the learning rate changes over the steps.

use crate::{
    choice::choices,
    section::{Fixed, Kind as _, Name, Natural, NonNegative, Only, Section, Size, section},
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
        /// The highest rate for most of the run, and then down over `wsd_decay_steps`: warm-up, stable,
        /// decay.
        Wsd = "wsd" | "WSD",
    }
}

choices! {
    /// The last part of the style `wsd`.
    pub enum WsdDecayStyle("decay style of `wsd`") {
        /// A straight line.
        Linear = "linear",
        /// Half a period of the cosine.
        Cosine = "cosine",
        /// Two times a half to the power of the way that is gone, minus one.
        Exponential = "exponential",
        /// One minus the root of the way that is gone.
        MinusSqrt = "minus_sqrt",
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
        /// Where the way up begins; at most `optimizer.lr`.
        init_lr: f64 = NonNegative.or(0.0),
        /// The step at which `min_lr` is reached; `step_scheduler.max_steps` without it. The rate
        /// stays there afterwards.
        lr_decay_steps: Option<usize> = Size.optional(),
        /// Steps of the way down in the style `wsd`; a tenth of all without it.
        wsd_decay_steps: Option<usize> = Size.optional(),
        /// The way down in the style `wsd`.
        lr_wsd_decay_style: WsdDecayStyle = Name::OF.or(WsdDecayStyle::Linear),
        /// The lowest learning rate after the way up; at most `optimizer.lr`, and 0 for the style
        /// `constant`, which never goes down.
        min_lr: f64 = NonNegative.or(0.0),
    }
}

const FIXED: &[Fixed] = &[Fixed {
    key: "wd_incr_style",
    only: &[Only::Text("constant")],
    reason: "the weight decay is the same in all steps",
}];

impl Draft {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let draft = Draft::keys(section);
        section.fixed(FIXED);
        if let (Ok(LrDecayStyle::Constant), Ok(min_lr)) = (draft.lr_decay_style, draft.min_lr)
            && min_lr > 0.0
        {
            let message = format!("{min_lr} has no effect, a constant learning rate never decays");
            section.refuse(
                "min_lr",
                message,
                "set `lr_decay_style` to `linear`, `cosine` or `wsd`",
            );
        }
        if let Ok(style) = draft.lr_decay_style
            && style != LrDecayStyle::Wsd
        {
            for key in ["wsd_decay_steps", "lr_wsd_decay_style"] {
                if section.is_set(key) {
                    let message = format!("has no effect, the decay style is {style}");
                    section.refuse(key, message, "leave it out, or set `lr_decay_style: wsd`");
                }
            }
        }
        if let (Ok(LrDecayStyle::Constant), Ok(Some(_))) =
            (draft.lr_decay_style, draft.lr_decay_steps)
        {
            let message = "has no effect, a constant learning rate never decays";
            section.refuse("lr_decay_steps", message, "leave it out");
        }
        if let (Ok(0), Ok(init_lr)) = (draft.lr_warmup_steps, draft.init_lr)
            && init_lr > 0.0
        {
            let message = format!("{init_lr} has no effect without a warm-up");
            section.refuse("init_lr", message, "leave it out, or set `lr_warmup_steps`");
        }
        draft
    }
}
