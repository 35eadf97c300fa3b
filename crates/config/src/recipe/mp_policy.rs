//! The section `distributed.mp_policy`: in which types is computed, sent and added up.

use crate::{
    DType,
    choice::choices,
    section::{Fixed, Kind as _, Name, Only, Reported, Section, section},
};

section! {
    /// In which types is computed, sent and added up; a type that is left out is the parameters'.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct MpPolicy {
        /// The type of parameters and activations while computing.
        param_dtype: Option<DType> = Name::OF.optional(),
        /// The type in which gradients are added up over data-parallel ranks.
        reduce_dtype: Option<DType> = Name::OF.optional(),
        /// The type of what a stage makes.
        output_dtype: Option<DType> = Name::OF.optional(),
    }
}

choices! {
    /// A policy of torch.
    enum Policy("`_target_`") {
        /// The three types.
        MixedPrecisionPolicy = "torch.distributed.fsdp.MixedPrecisionPolicy",
    }
}

const FIXED: &[Fixed] = &[Fixed {
    key: "cast_forward_inputs",
    only: &[Only::Flag(true)],
    reason: "what a stage is given is computed with in `param_dtype`",
}];

impl MpPolicy {
    /// The type of the tensors that cross a stage boundary, if the policy says it.
    #[must_use]
    pub fn activation_dtype(&self) -> Option<DType> {
        self.output_dtype.or(self.param_dtype)
    }

    pub(super) fn read(section: &mut Section<'_>) -> Result<Self, Reported> {
        let target = section.target::<Policy>("A policy of torch.");
        let draft = Draft::keys(section);
        section.fixed(FIXED);
        target?;
        draft.settle()
    }
}
