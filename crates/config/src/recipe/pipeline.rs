//! The section `distributed.pipeline`: the options of `PipelineConfig`, and what they must agree
//! with in the rest of a recipe.

use super::StepScheduler;
use crate::{
    LossName, PipelineConfig,
    section::{Section, choice, flag, list_of, size, text},
};

/// Reads every option. One that is reported gets a value that leads to no further report.
pub(super) fn read(section: &mut Section<'_>) -> PipelineConfig {
    let default = PipelineConfig::default();
    // Here alone `null` differs from nothing at all: it takes the default schedule away.
    let schedule_is_default = !section.has("pp_schedule");
    let pp_schedule = match section.optional("pp_schedule", text) {
        Ok(name) if !schedule_is_default => name,
        Ok(_) | Err(_) => default.pp_schedule,
    };
    // Beside one of these a number of layers has no effect, which is not said of an invented one.
    let counts_layers =
        !section.is_set("pp_schedule_csv") && !section.is_set("module_fqns_per_model_part");
    let config = PipelineConfig {
        pp_schedule,
        // What cannot be read decides the stages nevertheless, here and in the lists of modules.
        pp_schedule_csv: section
            .optional("pp_schedule_csv", text)
            .unwrap_or_else(|_| Some(String::new())),
        pp_microbatch_size: section.or("pp_microbatch_size", 1, size).unwrap_or(1),
        pp_batch_size: section.or("pp_batch_size", 1, size).unwrap_or(0),
        layers_per_stage: section
            .optional("layers_per_stage", size)
            .unwrap_or(counts_layers.then_some(1)),
        round_virtual_stages_to_pp_multiple: section
            .optional("round_virtual_stages_to_pp_multiple", choice)
            .unwrap_or_default(),
        module_fqns_per_model_part: section
            .optional("module_fqns_per_model_part", list_of(list_of(text)))
            .unwrap_or_else(|_| Some(vec![Vec::new()])),
        patch_inner_model: section.or("patch_inner_model", true, flag).unwrap_or(true),
        patch_causal_lm_model: section.or("patch_causal_lm_model", true, flag).unwrap_or(true),
        patch_stage_backward_maybe_with_nosync: section
            .or("patch_stage_backward_maybe_with_nosync", false, flag)
            .unwrap_or(false),
        dtype: section.optional("dtype", choice).unwrap_or_default(),
        scale_grads_in_schedule: section
            .or("scale_grads_in_schedule", false, flag)
            .unwrap_or(false),
        loss_fn: section.optional("loss_fn", choice).unwrap_or_default(),
        pp_seq_len: section.optional("pp_seq_len", size).unwrap_or_default(),
    };
    section.finish();
    config
}

/// Takes over what the recipe decides elsewhere, and reports what does not fit together. Without
/// the steps, whose problems are reported then, nothing is said about sizes.
pub(super) fn agree(
    mut config: PipelineConfig,
    section: &Section<'_>,
    steps: Option<&StepScheduler>,
    loss_fn: LossName,
) -> PipelineConfig {
    let written = *config.loss_fn.get_or_insert(loss_fn);
    if written != loss_fn {
        let message = format!("{written} differs from the recipe's `loss_fn` {loss_fn}");
        section.refuse("loss_fn", message, "leave it out: it is taken from there");
    }
    if let Some(StepScheduler { local_batch_size: batch, .. }) = steps {
        let written = config.pp_batch_size;
        // What could not be read has been reported, and stands here as 0.
        if section.is_set("pp_batch_size") && written != 0 && written != *batch {
            let message =
                format!("{written} differs from `step_scheduler.local_batch_size` {batch}");
            section.refuse("pp_batch_size", message, "leave it out: it is taken from there");
        }
        config.pp_batch_size = *batch;
        for problem in config.check().err().unwrap_or_default() {
            section.refuse(problem.option(), problem.to_string(), "");
        }
    }
    for unsupported in config.check_supported().err().unwrap_or_default() {
        let message = format!("`{}` has no effect", unsupported.value);
        section.refuse(unsupported.option, message, unsupported.reason);
    }
    config
}
