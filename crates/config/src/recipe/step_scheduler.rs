//! The section `step_scheduler`: samples per step, and the number of steps.

use crate::section::{Reported, Section, size};

/// How many samples a step takes, how many steps there are, and how often one is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepScheduler {
    /// Samples between two updates of the weights; a multiple of `local_batch_size`.
    pub global_batch_size: usize,
    /// Samples that go through the pipeline at once.
    pub local_batch_size: usize,
    /// Updates of the weights in the whole run.
    pub max_steps: usize,
    /// Updates of the weights from one checkpoint to the next; `None` saves at the end only.
    pub ckpt_every_steps: Option<usize>,
}

impl StepScheduler {
    /// How many local batches have their gradients added up before the weights change.
    #[must_use]
    pub fn num_accumulation_steps(&self) -> usize {
        self.global_batch_size.checked_div(self.local_batch_size).unwrap_or(0)
    }

    pub(super) fn read(mut section: Section<'_>) -> Result<Self, Reported> {
        let global = section.required("global_batch_size", size);
        let local = section.required("local_batch_size", size);
        let max_steps = section.required("max_steps", size);
        let ckpt_every_steps = section.optional("ckpt_every_steps", size);
        if let (Ok(global), Ok(local)) = (global, local)
            && !global.is_multiple_of(local)
        {
            let message = format!("{global} is not a multiple of `local_batch_size` {local}");
            let help = "gradients are accumulated over whole local batches";
            section.refuse("global_batch_size", message, help);
        }
        section.finish();
        Ok(StepScheduler {
            global_batch_size: global?,
            local_batch_size: local?,
            max_steps: max_steps?,
            ckpt_every_steps: ckpt_every_steps?,
        })
    }
}
