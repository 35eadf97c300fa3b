//! What is wrong with a `PipelineConfig` by itself, and what in it has no effect yet.

use crate::{DType, PipelineConfig};

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

    /// Checks that every option that is set has an effect.
    ///
    /// # Errors
    /// Every option that has none, at least one.
    pub fn check_supported(&self) -> Result<(), Vec<Unsupported>> {
        const PATCH: &str = "there is nothing to patch, stages are built to know the pipeline";
        let not_default = |set: bool, default: bool| (set != default).then(|| set.to_string());
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
            ("patch_inner_model", not_default(self.patch_inner_model, true), PATCH),
            ("patch_causal_lm_model", not_default(self.patch_causal_lm_model, true), PATCH),
            (
                "patch_stage_backward_maybe_with_nosync",
                not_default(self.patch_stage_backward_maybe_with_nosync, false),
                PATCH,
            ),
            (
                "dtype",
                self.dtype.filter(|dtype| *dtype != DType::Float32).map(|dtype| dtype.to_string()),
                "training is in float32",
            ),
            (
                "pp_seq_len",
                self.pp_seq_len.map(|len| len.to_string()),
                "shapes are computed from each batch, whatever its length",
            ),
        ];
        let unsupported: Vec<Unsupported> = options
            .into_iter()
            .filter_map(|(option, value, reason)| {
                value.map(|value| Unsupported { option, value, reason })
            })
            .collect();
        if unsupported.is_empty() { Ok(()) } else { Err(unsupported) }
    }
}
