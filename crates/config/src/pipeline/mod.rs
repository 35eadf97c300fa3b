//! How one pipeline is scheduled and split: the options of `PipelineConfig`.

mod check;
mod dtype;
mod rounding;
#[cfg(test)]
mod tests;

pub use check::{Invalid, Unsupported};
pub use dtype::DType;
pub use rounding::Rounding;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::LossName;

/// How one pipeline is scheduled and split.
///
/// The fields, their order and their defaults are NeMo AutoModel's. A value is plain data: nothing
/// is checked on the way in. [`PipelineConfig::check`] says what contradicts itself and
/// [`PipelineConfig::check_supported`] what has no effect yet; a recipe asks both.
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
    /// The name of the schedule, such as `1f1b`. Not looked up here.
    pub pp_schedule: Option<String>,
    /// A file with the schedule as a table, which then decides instead of `pp_schedule`. Not read
    /// here.
    pub pp_schedule_csv: Option<String>,
    /// Samples in one microbatch.
    pub pp_microbatch_size: usize,
    /// Samples in one step of this pipeline: the local batch of one data-parallel rank.
    pub pp_batch_size: usize,
    /// Layers that one stage should hold. It sets only the number of stages; the layers are then
    /// spread evenly over them.
    pub layers_per_stage: Option<usize>,
    /// What to do where `layers_per_stage` gives a number of stages that the ranks cannot share.
    pub round_virtual_stages_to_pp_multiple: Option<Rounding>,
    /// The fully qualified names of the modules of each stage, in the order of the stages.
    pub module_fqns_per_model_part: Option<Vec<Vec<String>>>,
    /// Whether to replace the decoder's forward pass by one that knows of stages.
    pub patch_inner_model: bool,
    /// Whether to replace the language model's forward pass by one that knows of stages.
    pub patch_causal_lm_model: bool,
    /// Whether to replace the stage's backward pass by one that knows of data parallelism.
    pub patch_stage_backward_maybe_with_nosync: bool,
    /// The element type of the tensors that cross a stage boundary; `None` for the model's own.
    pub dtype: Option<DType>,
    /// Whether a step ends by dividing the gradients by the number of microbatches.
    pub scale_grads_in_schedule: bool,
    /// The loss on the last stage.
    pub loss_fn: Option<LossName>,
    /// The sequence length that all steps will have; `None` to go by each batch.
    pub pp_seq_len: Option<usize>,
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
