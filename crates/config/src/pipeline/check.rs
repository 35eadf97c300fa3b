//! What is wrong with a `PipelineConfig` by itself, and what in it has no effect.

use crate::PipelineConfig;

/// An option that no pipeline can have, or that contradicts another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// Nothing says in which order to compute.
    #[error("either `pp_schedule` or `pp_schedule_csv` must be set")]
    NoSchedule,
    /// Microbatches without samples.
    #[error("a microbatch of 0 samples is empty, the smallest size is 1")]
    ZeroMicrobatch,
    /// A step without samples.
    #[error("a batch of 0 samples is empty, the smallest size is 1")]
    ZeroBatch,
    /// The batch is not a whole number of microbatches.
    #[error("a batch of {batch} samples is not a whole number of microbatches of {microbatch}")]
    PartialMicrobatch {
        /// Samples in the batch.
        batch: usize,
        /// Samples in a microbatch.
        microbatch: usize,
    },
    /// Stages without layers.
    #[error("a stage of 0 layers is empty, the smallest number is 1")]
    ZeroLayersPerStage,
    /// An explicit split without any stage.
    #[error("the list of stages is empty; leave it out for an automatic split")]
    NoStages,
}

impl Invalid {
    /// The field of [`PipelineConfig`] to change.
    #[must_use]
    pub fn option(&self) -> &'static str {
        match self {
            Invalid::NoSchedule => "pp_schedule",
            Invalid::ZeroMicrobatch | Invalid::PartialMicrobatch { .. } => "pp_microbatch_size",
            Invalid::ZeroBatch => "pp_batch_size",
            Invalid::ZeroLayersPerStage => "layers_per_stage",
            Invalid::NoStages => "module_fqns_per_model_part",
        }
    }
}

/// An option that is set although nothing heeds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{option}: {value}` has no effect: {reason}")]
#[non_exhaustive]
pub struct Unsupported {
    /// The field of [`PipelineConfig`].
    pub option: &'static str,
    /// Its value, as a recipe spells it.
    pub value: String,
    /// Why nothing heeds it, and what to do instead.
    pub reason: &'static str,
}

impl Unsupported {
    /// The field `option` and its value, and why nothing heeds it.
    pub fn new(option: &'static str, value: impl ToString, reason: &'static str) -> Self {
        Self { option, value: value.to_string(), reason }
    }
}

impl PipelineConfig {
    /// Checks what can be checked without a model and a mesh.
    ///
    /// ```
    /// use autopipe_config::{Invalid, PipelineConfig};
    ///
    /// let config = PipelineConfig { pp_batch_size: 4, pp_microbatch_size: 3, ..Default::default() };
    /// let problem = Invalid::PartialMicrobatch { batch: 4, microbatch: 3 };
    /// assert_eq!(config.check(), Err(vec![problem]));
    /// ```
    ///
    /// # Errors
    /// Every contradiction, at least one.
    pub fn check(&self) -> Result<(), Vec<Invalid>> {
        let no_schedule = self.pp_schedule.is_none() && self.pp_schedule_csv.is_none();
        let no_stages = self.module_fqns_per_model_part.as_ref().is_some_and(Vec::is_empty);
        let problems: Vec<Invalid> = [
            no_schedule.then_some(Invalid::NoSchedule),
            self.num_microbatches().err(),
            (self.pp_batch_size == 0).then_some(Invalid::ZeroBatch),
            (self.layers_per_stage == Some(0)).then_some(Invalid::ZeroLayersPerStage),
            no_stages.then_some(Invalid::NoStages),
        ]
        .into_iter()
        .flatten()
        .collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Checks that no option takes away what another is set for.
    ///
    /// # Errors
    /// Every option that has no effect beside another, at least one.
    pub fn check_supported(&self) -> Result<(), Vec<Unsupported>> {
        // What says already how many stages there are, if anything does.
        let decided = match (&self.pp_schedule_csv, &self.module_fqns_per_model_part) {
            (Some(_), _) => Some("the table of `pp_schedule_csv` has the number of stages"),
            (None, Some(_)) => {
                Some("`module_fqns_per_model_part` says already which layers a stage holds")
            }
            (None, None) => None,
        };
        let options = [
            (
                "layers_per_stage",
                self.layers_per_stage.filter(|_| decided.is_some()).map(|num| num.to_string()),
                decided.unwrap_or_default(),
            ),
            (
                "round_virtual_stages_to_pp_multiple",
                self.round_virtual_stages_to_pp_multiple
                    .filter(|_| self.layers_per_stage.is_none() || decided.is_some())
                    .map(|rounding| rounding.to_string()),
                decided.unwrap_or(
                    "it rounds the number of stages that `layers_per_stage` leads to; set that",
                ),
            ),
        ];
        let unsupported = without_effect(options);
        if unsupported.is_empty() { Ok(()) } else { Err(unsupported) }
    }

    /// The options that are set and make no difference, though nothing contradicts them: the three
    /// that patch a model of transformers to know of stages, which models here know anyway.
    ///
    /// ```
    /// use autopipe_config::PipelineConfig;
    ///
    /// let config = PipelineConfig { patch_inner_model: false, ..Default::default() };
    /// assert_eq!(
    ///     config.without_effect()[0].to_string(),
    ///     "`patch_inner_model: false` has no effect: \
    ///      there is nothing to patch, stages are built to know the pipeline"
    /// );
    /// ```
    #[must_use]
    pub fn without_effect(&self) -> Vec<Unsupported> {
        const PATCH: &str = "there is nothing to patch, stages are built to know the pipeline";
        let default = PipelineConfig::default();
        let options = [
            ("patch_inner_model", self.patch_inner_model, default.patch_inner_model),
            ("patch_causal_lm_model", self.patch_causal_lm_model, default.patch_causal_lm_model),
            (
                "patch_stage_backward_maybe_with_nosync",
                self.patch_stage_backward_maybe_with_nosync,
                default.patch_stage_backward_maybe_with_nosync,
            ),
        ];
        without_effect(options.map(|(option, set, default)| {
            (option, (set != default).then(|| set.to_string()), PATCH)
        }))
    }
}

/// The options that have a value.
fn without_effect<const N: usize>(
    options: [(&'static str, Option<String>, &'static str); N],
) -> Vec<Unsupported> {
    let set = options.into_iter().filter_map(|(option, value, reason)| {
        value.map(|value| Unsupported { option, value, reason })
    });
    set.collect()
}
