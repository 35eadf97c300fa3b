//! How one pipeline is scheduled and split: the options of `PipelineConfig`.

mod check;
mod dtype;
mod read;
mod rounding;
#[cfg(test)]
mod tests;

pub use check::{Invalid, Unsupported};
pub use dtype::DType;
pub use rounding::Rounding;

pub(crate) use read::read;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    LossName,
    section::{Flag, Kind as _, ListOf, Name, Size, Text, section},
};

section! {
    /// How one pipeline is scheduled and split.
    ///
    /// The fields, their order and their defaults are NeMo AutoModel's. A value is plain data:
    /// nothing is checked on the way in. [`PipelineConfig::check`] says what contradicts itself,
    /// [`PipelineConfig::check_supported`] what contradicts other options, and
    /// [`PipelineConfig::without_effect`] what makes no difference; a recipe asks all three.
    ///
    /// ```
    /// use autopipe_config::PipelineConfig;
    ///
    /// let config = PipelineConfig { pp_batch_size: 8, ..PipelineConfig::default() };
    /// assert_eq!(config.pp_schedule.as_deref(), Some("1f1b"));
    /// assert_eq!(config.num_microbatches(), Ok(8));
    /// ```
    #[derive(Debug, Clone, PartialEq, Serialize)]
    pub struct PipelineConfig {
        /// The name of the schedule, such as `1f1b`; `null` names none. Not looked up here.
        pp_schedule: Option<String> = Text.or("1f1b").nullable(),
        /// A file with the schedule as a table, which then decides instead of `pp_schedule`. Not
        /// read here.
        pp_schedule_csv: Option<String> = Text.optional(),
        /// Samples in one microbatch.
        pp_microbatch_size: usize = Size.or(1_usize),
        /// Samples in one step of this pipeline: the local batch of one data-parallel rank.
        pp_batch_size: usize = Size.or(1_usize),
        /// Layers that one stage should hold. It sets only the number of stages; the layers are then
        /// spread evenly over them.
        layers_per_stage: Option<usize> = Size.optional(),
        /// What to do where `layers_per_stage` gives a number of stages that the ranks cannot share.
        round_virtual_stages_to_pp_multiple: Option<Rounding> = Name::OF.optional(),
        /// The fully qualified names of the modules of each stage, in the order of the stages.
        module_fqns_per_model_part: Option<Vec<Vec<String>>> = ListOf(ListOf(Text)).optional(),
        /// Whether to replace the decoder's forward pass by one that knows of stages.
        patch_inner_model: bool = Flag.or(true),
        /// Whether to replace the language model's forward pass by one that knows of stages.
        patch_causal_lm_model: bool = Flag.or(true),
        /// Whether to replace the stage's backward pass by one that knows of data parallelism.
        patch_stage_backward_maybe_with_nosync: bool = Flag.or(false),
        /// The element type of the tensors that cross a stage boundary; without it the model's own.
        dtype: Option<DType> = Name::OF.optional(),
        /// Whether a step ends by dividing the gradients by the number of microbatches.
        scale_grads_in_schedule: bool = Flag.or(false),
        /// The loss on the last stage.
        loss_fn: Option<LossName> = Name::OF.optional(),
        /// The sequence length that all steps will have; without it that of each batch.
        pp_seq_len: Option<usize> = Size.optional(),
    }
}

impl Default for PipelineConfig {
    fn default() -> Self {
        PipelineConfig {
            pp_schedule: Some(String::from("1f1b")),
            pp_schedule_csv: None,
            pp_microbatch_size: 1,
            pp_batch_size: 1,
            layers_per_stage: None,
            round_virtual_stages_to_pp_multiple: None,
            module_fqns_per_model_part: None,
            patch_inner_model: true,
            patch_causal_lm_model: true,
            patch_stage_backward_maybe_with_nosync: false,
            dtype: None,
            scale_grads_in_schedule: false,
            loss_fn: None,
            pp_seq_len: None,
        }
    }
}

impl PipelineConfig {
    /// All options by name, in the order of the fields; options that are not set are `null`.
    ///
    /// ```
    /// use autopipe_config::PipelineConfig;
    ///
    /// let dict = PipelineConfig::default().to_dict();
    /// assert_eq!(dict.len(), 14);
    /// assert_eq!(dict["pp_schedule"], "1f1b");
    /// assert!(dict["dtype"].is_null());
    /// ```
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        let dtype = self.dtype.map(DType::as_str);
        let loss_fn = self.loss_fn.map(LossName::as_str);
        let rounding = self.round_virtual_stages_to_pp_multiple.map(Rounding::as_str);
        let nosync = self.patch_stage_backward_maybe_with_nosync;
        let options = [
            ("pp_schedule", Value::from(self.pp_schedule.clone())),
            ("pp_schedule_csv", Value::from(self.pp_schedule_csv.clone())),
            ("pp_microbatch_size", Value::from(self.pp_microbatch_size)),
            ("pp_batch_size", Value::from(self.pp_batch_size)),
            ("layers_per_stage", Value::from(self.layers_per_stage)),
            ("round_virtual_stages_to_pp_multiple", Value::from(rounding)),
            ("module_fqns_per_model_part", Value::from(self.module_fqns_per_model_part.clone())),
            ("patch_inner_model", Value::from(self.patch_inner_model)),
            ("patch_causal_lm_model", Value::from(self.patch_causal_lm_model)),
            ("patch_stage_backward_maybe_with_nosync", Value::from(nosync)),
            ("dtype", Value::from(dtype)),
            ("scale_grads_in_schedule", Value::from(self.scale_grads_in_schedule)),
            ("loss_fn", Value::from(loss_fn)),
            ("pp_seq_len", Value::from(self.pp_seq_len)),
        ];
        options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// How many microbatches one step has.
    ///
    /// # Errors
    /// [`Invalid::ZeroMicrobatch`] and [`Invalid::PartialMicrobatch`].
    pub fn num_microbatches(&self) -> Result<usize, Invalid> {
        let (batch, microbatch) = (self.pp_batch_size, self.pp_microbatch_size);
        if microbatch == 0 {
            return Err(Invalid::ZeroMicrobatch);
        }
        if !batch.is_multiple_of(microbatch) {
            return Err(Invalid::PartialMicrobatch { batch, microbatch });
        }
        Ok(batch / microbatch)
    }
}
