//! The section `distributed`: how many ranks there are of each kind, and the pipeline.

use super::{ActivationCheckpointing, MpPolicy, activation_checkpointing::Layers};
use crate::{
    PipelineConfig,
    choice::choices,
    pipeline,
    section::{
        Fixed, Flag, Kind as _, MaySection, Name, Only, Reported, Section, Size, Text, section,
    },
};

choices! {
    /// How data-parallel ranks share parameters, gradients and the optimizer's state.
    pub enum Strategy("strategy") {
        /// Each rank has a part of them.
        Fsdp2 = "fsdp2",
        /// Each rank has all of them.
        Ddp = "ddp",
    }
}

section! {
    /// How many ranks there are of each kind of parallelism, and how the pipeline works.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Distributed {
        /// How data-parallel ranks share parameters, gradients and the optimizer's state.
        strategy: Strategy = Name::OF.or(Strategy::Fsdp2),
        /// Ranks in the pipeline; 1 is no pipeline.
        pp_size: usize = Size.or(1_usize),
        /// Data-parallel ranks; without it as many as there are copies.
        dp_size: Option<usize> = Size.optional(),
        /// Whole copies of the parameters among the data-parallel ranks.
        dp_replicate_size: usize = Size.or(1_usize),
        /// Tensor-parallel ranks.
        tp_size: usize = Size.or(1_usize),
        /// Context-parallel ranks.
        cp_size: usize = Size.or(1_usize),
        /// Expert-parallel ranks.
        ep_size: usize = Size.or(1_usize),
        /// In which types is computed, sent and added up.
        mp_policy: Option<MpPolicy> = MaySection(MpPolicy::read),
        /// Whether gradients are added up over data-parallel ranks once per step, not after every
        /// microbatch.
        defer_fsdp_grad_sync: bool = Flag.or(true),
        /// Which layers keep only their input for the backward and compute the rest again, for less
        /// memory: none, all (`true` or `full`), or every Nth, beginning with the first.
        activation_checkpointing: ActivationCheckpointing =
            Layers.or(ActivationCheckpointing::None),
        /// How layers are shared out over stages: `even`, `even:1,1` with weights for what is before
        /// and after the layers, `balanced`, or a layout in Megatron-LM's notation. Not read here.
        split: Option<String> = Text.optional(),
        /// How the pipeline is scheduled and split; there if and only if `pp_size` is greater than 1.
        pipeline: Option<PipelineConfig> = MaySection(pipeline::read),
    }
}

choices! {
    /// What a recipe's `_target_` was before there was `strategy`.
    enum Manager("`_target_`") {
        /// [`Strategy::Fsdp2`].
        Fsdp2 = "nemo_automodel.components.distributed.fsdp2.FSDP2Manager"
            | "nemo_automodel.components.distributed.config.FSDP2Config",
        /// [`Strategy::Ddp`].
        Ddp = "nemo_automodel.components.distributed.ddp.DDPManager"
            | "nemo_automodel.components.distributed.config.DDPConfig",
    }
}

const FIXED: &[Fixed] = &[
    Fixed {
        key: "sequence_parallel",
        only: &[Only::Flag(false)],
        reason: "tensor-parallel ranks do not share out the sequence",
    },
    Fixed { key: "moe", only: &[], reason: "there are no experts to set up" },
    Fixed { key: "tp_plan", only: &[], reason: "the model says how its tensors are cut" },
    Fixed { key: "offload_policy", only: &[], reason: "nothing is moved to the host's memory" },
    Fixed { key: "autocast_dtype", only: &[], reason: "types are those of `mp_policy`" },
    Fixed {
        key: "reshard_after_forward",
        only: &[],
        reason: "when parameters are given back is not up to the recipe",
    },
    Fixed { key: "enable_compile", only: &[Only::Flag(false)], reason: "nothing is compiled" },
    Fixed {
        key: "enable_async_tensor_parallel",
        only: &[Only::Flag(false)],
        reason: "tensor-parallel ranks wait for each other",
    },
];

impl Draft {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let target =
            section.target::<Manager>("The same as `strategy`, as older recipes write it.");
        let mut draft = Draft::keys(section);
        section.fixed(FIXED);
        draft.take_from(target, section);
        draft.check_pipeline(section);
        draft
    }

    fn take_from(&mut self, target: Result<Option<Manager>, Reported>, section: &Section<'_>) {
        let written = match target {
            Ok(None) => return,
            Ok(Some(Manager::Fsdp2)) => Strategy::Fsdp2,
            Ok(Some(Manager::Ddp)) => Strategy::Ddp,
            Err(reported) => {
                self.strategy = Err(reported);
                return;
            }
        };
        match self.strategy {
            Ok(strategy) if section.is_set("strategy") && strategy != written => {
                let message = format!("says `{written}`, and `strategy` says `{strategy}`");
                section.refuse("_target_", message, "remove `_target_`");
            }
            Ok(_) => self.strategy = Ok(written),
            Err(_) => {}
        }
    }

    /// The section and the number of ranks go together.
    fn check_pipeline(&mut self, section: &Section<'_>) {
        let has_pipeline = section.has("pipeline");
        match self.pp_size {
            Ok(size @ 2..) if !has_pipeline => {
                let message = format!("a pipeline of {size} ranks needs a section `pipeline`");
                section.refuse("pp_size", message, "add `pipeline: {}` for the defaults");
            }
            // An empty value is an empty section.
            Ok(2..) if self.pipeline == Ok(None) => {
                self.pipeline = Ok(Some(PipelineConfig::default()));
            }
            Ok(..2) if section.is_set("pipeline") => {
                let help = "set `pp_size` to the number of ranks in the pipeline";
                section.warn("pipeline", "the section has no effect with `pp_size: 1`", help);
                self.pipeline = Ok(None);
            }
            Ok(_) | Err(_) => {}
        }
    }
}
