//! The section `distributed.pipeline` of a recipe: the options by themselves.

use super::{Draft, PipelineConfig};
use crate::section::{Reported, Section};

/// Reads every option. One that is reported gets a value that leads to no further report.
pub(crate) fn read(section: &mut Section<'_>) -> Result<PipelineConfig, Reported> {
    // Beside one of these a number of layers has no effect, which is not said of an invented one.
    let counts_layers =
        !section.is_set("pp_schedule_csv") && !section.is_set("module_fqns_per_model_part");
    let default = PipelineConfig::default();
    let draft = Draft::keys(section);
    Draft {
        pp_schedule: draft.pp_schedule.or(Ok(default.pp_schedule)),
        // What cannot be read decides the stages nevertheless, here and in the lists of modules.
        pp_schedule_csv: draft.pp_schedule_csv.or(Ok(Some(String::new()))),
        pp_microbatch_size: draft.pp_microbatch_size.or(Ok(1)),
        pp_batch_size: draft.pp_batch_size.or(Ok(0)),
        layers_per_stage: draft.layers_per_stage.or(Ok(counts_layers.then_some(1))),
        round_virtual_stages_to_pp_multiple: draft.round_virtual_stages_to_pp_multiple.or(Ok(None)),
        module_fqns_per_model_part: draft.module_fqns_per_model_part.or(Ok(Some(vec![Vec::new()]))),
        patch_inner_model: draft.patch_inner_model.or(Ok(default.patch_inner_model)),
        patch_causal_lm_model: draft.patch_causal_lm_model.or(Ok(default.patch_causal_lm_model)),
        patch_stage_backward_maybe_with_nosync: draft
            .patch_stage_backward_maybe_with_nosync
            .or(Ok(default.patch_stage_backward_maybe_with_nosync)),
        dtype: draft.dtype.or(Ok(None)),
        scale_grads_in_schedule: draft.scale_grads_in_schedule.or(Ok(false)),
        loss_fn: draft.loss_fn.or(Ok(None)),
        pp_seq_len: draft.pp_seq_len.or(Ok(None)),
    }
    .settle()
}
