//! What the sections of a recipe have to agree about, and what one takes over from another.

use super::{
    Dataset, distributed, lr_scheduler, optimizer,
    step_scheduler::{self, accumulation_steps},
};
use crate::{
    LossName, PipelineConfig,
    nearest::shortened,
    section::{Reported, Section},
};

/// The sections that were read, each key of them or its report.
pub(super) struct Sections<'a> {
    pub(super) root: &'a Section<'a>,
    pub(super) steps: Option<&'a step_scheduler::Draft>,
    pub(super) dataset: Option<&'a Dataset>,
    pub(super) optimizer: Option<&'a optimizer::Draft>,
    pub(super) loss_fn: Option<LossName>,
    /// Whether the last checkpoint is to have adapters merged.
    pub(super) merges: bool,
    /// Whether there is something to evaluate on; nothing where that could not be read.
    pub(super) has_validation: Option<bool>,
}

impl Sections<'_> {
    /// The batches can be shared out evenly.
    pub(super) fn check_steps(&self, distributed: Option<&distributed::Draft>) {
        let Some(steps) = self.steps else { return };
        let (Ok(global), Ok(local)) = (steps.global_batch_size, steps.local_batch_size) else {
            return;
        };
        // Where the number of ranks is not known, one has to do at least.
        let replicas = distributed.and_then(|draft| draft.dp_replicate_size.ok());
        let dp_size = distributed.and_then(|draft| draft.dp_size.ok().flatten()).or(replicas);
        let dp_size = dp_size.unwrap_or(1);
        if let Err(uneven) = accumulation_steps(global, local, dp_size) {
            let help = "gradients are accumulated over whole local batches";
            self.root.refuse("step_scheduler.global_batch_size", uneven.to_string(), help);
        }
    }

    /// There is something to do, and what it takes.
    pub(super) fn check_purpose(&self) {
        let max_steps = self.steps.and_then(|steps| steps.max_steps.ok());
        if max_steps.is_none_or(|steps| steps > 0) && !self.root.is_set_below("optimizer.lr") {
            let message = "missing, and there is no default";
            self.root.refuse("optimizer.lr", message, "");
        }
        let Some(false) = self.has_validation else { return };
        if max_steps == Some(0) {
            let help = "train for at least one step, or give a `validation_dataset`";
            self.root.refuse("step_scheduler.max_steps", "there is nothing to do", help);
        }
        if self.root.is_set_below("step_scheduler.val_every_steps") {
            let help = "give a `validation_dataset`, or leave this out";
            let message = "there is nothing to evaluate on";
            self.root.refuse("step_scheduler.val_every_steps", message, help);
        }
    }

    /// The learning rate changes within the steps, and not to above its highest.
    pub(super) fn check_lr(&self, lr: &lr_scheduler::Draft) {
        if let (Ok(warmup), Some(Ok(steps))) = (lr.lr_warmup_steps, self.steps.map(|s| s.max_steps))
            && warmup >= steps
            && steps > 0
        {
            let message =
                format!("a warm-up of {warmup} steps does not end within `max_steps` {steps}");
            let help = "give fewer warm-up steps or more steps";
            self.root.refuse("lr_scheduler.lr_warmup_steps", message, help);
        }
        let Some(Ok(max_lr)) = self.optimizer.map(|optimizer| optimizer.lr) else { return };
        for (key, rate) in [("min_lr", lr.min_lr), ("init_lr", lr.init_lr)] {
            if let Ok(rate) = rate
                && rate > max_lr
            {
                let message = format!("{rate} is greater than `optimizer.lr` {max_lr}");
                self.root.refuse(&format!("lr_scheduler.{key}"), message, "");
            }
        }
    }

    /// Checkpoints are asked for and saved, or neither.
    pub(super) fn check_checkpoint(&self, enabled: Result<bool, Reported>) {
        let every = self.steps.map(|steps| steps.ckpt_every_steps);
        if enabled == Ok(false) && matches!(every, Some(Ok(Some(_)))) {
            let message = "nothing is saved, although `step_scheduler.ckpt_every_steps` is set";
            self.root.warn("checkpoint.enabled", message, "remove one of the two");
        }
        if enabled == Ok(false) && self.merges {
            let message = "nothing is saved, so that there is nothing to merge adapters into";
            self.root.warn("peft.merge", message, "leave it out, or let checkpoints be saved");
        }
    }

    /// Fills in the pipeline's options that are decided elsewhere, and checks the others.
    pub(super) fn settle_pipeline(&self, distributed: &mut distributed::Draft) {
        let policy = distributed.mp_policy.ok().flatten();
        let Ok(Some(pipeline)) = &mut distributed.pipeline else { return };
        self.take_loss(pipeline);
        self.take_seq_len(pipeline);
        let activations = policy.and_then(|policy| policy.activation_dtype());
        match (pipeline.dtype, activations) {
            (Some(dtype), Some(activations)) if dtype != activations => {
                let message = format!("{dtype} is not {activations}, the type of `mp_policy`");
                let help = "leave it out: it is taken from there";
                self.root.warn("distributed.pipeline.dtype", &message, help);
            }
            (dtype, activations) => pipeline.dtype = dtype.or(activations),
        }
        self.check_batch(pipeline);
        for unsupported in pipeline.check_supported().err().unwrap_or_default() {
            let message = format!("`{}` has no effect", unsupported.value);
            let key = format!("distributed.pipeline.{}", unsupported.option);
            self.root.refuse(&key, message, unsupported.reason);
        }
        let is_named = self.root.is_set_below("distributed.pipeline.pp_schedule");
        if let (Some(name), Some(_), true) =
            (&pipeline.pp_schedule, &pipeline.pp_schedule_csv, is_named)
        {
            let help = "the table of `pp_schedule_csv` decides; leave it out";
            let message = format!("`{}` has no effect", shortened(name));
            self.root.warn("distributed.pipeline.pp_schedule", &message, help);
        }
        for option in pipeline.without_effect() {
            let message = format!("`{}` has no effect", option.value);
            let key = format!("distributed.pipeline.{}", option.option);
            self.root.warn(&key, &message, option.reason);
        }
    }

    fn take_loss(&self, pipeline: &mut PipelineConfig) {
        let Some(loss_fn) = self.loss_fn else { return };
        let written = *pipeline.loss_fn.get_or_insert(loss_fn);
        self.same("loss_fn", written, "the recipe's `loss_fn`", loss_fn);
    }

    fn take_seq_len(&self, pipeline: &mut PipelineConfig) {
        let Some(seq_len) = self.dataset.map(|dataset| dataset.seq_len) else { return };
        let written = *pipeline.pp_seq_len.get_or_insert(seq_len);
        self.same("pp_seq_len", written, "`dataset.seq_len`", seq_len);
    }

    /// Without the local batch size, whose problem is reported then, nothing is said about sizes.
    fn check_batch(&self, pipeline: &mut PipelineConfig) {
        let Some(Ok(batch)) = self.steps.map(|steps| steps.local_batch_size) else { return };
        let written = pipeline.pp_batch_size;
        // What could not be read has been reported, and stands here as 0.
        if self.root.is_set_below("distributed.pipeline.pp_batch_size") && written != 0 {
            self.same("pp_batch_size", written, "`step_scheduler.local_batch_size`", batch);
        }
        pipeline.pp_batch_size = batch;
        for problem in pipeline.check().err().unwrap_or_default() {
            let key = format!("distributed.pipeline.{}", problem.option());
            self.root.refuse(&key, problem.to_string(), "");
        }
    }

    /// What is said twice has to be the same.
    fn same<T: PartialEq + std::fmt::Display>(&self, option: &str, here: T, there: &str, value: T) {
        if here != value {
            let message = format!("{here} differs from {there} {value}");
            let key = format!("distributed.pipeline.{option}");
            self.root.refuse(&key, message, "leave it out: it is taken from there");
        }
    }
}
