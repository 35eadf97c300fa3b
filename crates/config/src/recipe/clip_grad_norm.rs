//! The section `clip_grad_norm`: how large gradients may be.

use crate::section::{Fixed, Kind as _, Only, Positive, Section, section};

section! {
    /// How large gradients may be.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct ClipGradNorm {
        /// The largest norm of all gradients together, beyond which they are scaled down to it;
        /// without it they stay as they are.
        max_norm: Option<f64> = Positive.optional(),
    }
}

const FIXED: &[Fixed] = &[Fixed {
    key: "norm_type",
    only: &[Only::Number(2)],
    reason: "the norm is the root of the sum of squares",
}];

impl Draft {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let draft = Draft::keys(section);
        section.fixed(FIXED);
        draft
    }
}
