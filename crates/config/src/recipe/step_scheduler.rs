//! The section `step_scheduler`: samples per step, and the number of steps.

use crate::section::{Fixed, Kind as _, Natural, Only, Section, Size, section};

section! {
    /// How many samples a step takes, how many steps there are, and how often one is saved.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StepScheduler {
        /// Samples between two updates of the weights, over all data-parallel ranks; a multiple of
        /// `local_batch_size` times the number of those ranks.
        global_batch_size: usize = Size.required(),
        /// Samples that go through one pipeline at once.
        local_batch_size: usize = Size.required(),
        /// Updates of the weights in the whole run; with 0 the model is evaluated and nothing trained.
        max_steps: usize = Natural.required(),
        /// Updates of the weights from one checkpoint to the next; without it the end alone is saved.
        ckpt_every_steps: Option<usize> = Size.optional(),
        /// Updates of the weights from one evaluation to the next; without it there is one at the end.
        val_every_steps: Option<usize> = Size.optional(),
    }
}

const FIXED: &[Fixed] = &[
    Fixed {
        key: "num_epochs",
        only: &[],
        reason: "a run ends after `max_steps`, however often the data is read until then",
    },
    Fixed {
        key: "save_checkpoint_every_epoch",
        only: &[Only::Flag(false)],
        reason: "checkpoints are counted in steps, as `ckpt_every_steps` says",
    },
    Fixed { key: "gc_every_steps", only: &[], reason: "there is no garbage to collect" },
];

/// A batch that cannot be shared evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{global_batch_size} is not a multiple of `local_batch_size` {local_batch_size}{}",
    if *.dp_size == 1 { String::new() } else { format!(" times {dp_size} data-parallel ranks") }
)]
#[non_exhaustive]
pub struct UnevenBatch {
    /// Samples between two updates of the weights.
    pub global_batch_size: usize,
    /// Samples that go through one pipeline at once.
    pub local_batch_size: usize,
    /// Data-parallel ranks.
    pub dp_size: usize,
}

impl StepScheduler {
    /// How many local batches each of `dp_size` data-parallel ranks adds up the gradients of before
    /// the weights change.
    ///
    /// ```
    /// use autopipe_config::StepScheduler;
    ///
    /// let (global_batch_size, local_batch_size) = (32, 8);
    /// let steps = StepScheduler {
    ///     global_batch_size,
    ///     local_batch_size,
    ///     max_steps: 1,
    ///     ckpt_every_steps: None,
    ///     val_every_steps: None,
    /// };
    /// assert_eq!(steps.num_accumulation_steps(2), Ok(2));
    /// let error = steps.num_accumulation_steps(3).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "32 is not a multiple of `local_batch_size` 8 times 3 data-parallel ranks"
    /// );
    /// ```
    ///
    /// # Errors
    /// If the global batch is no multiple of what all ranks take at once.
    pub fn num_accumulation_steps(&self, dp_size: usize) -> Result<usize, UnevenBatch> {
        accumulation_steps(self.global_batch_size, self.local_batch_size, dp_size)
    }
}

/// See [`StepScheduler::num_accumulation_steps`].
pub(super) fn accumulation_steps(
    global_batch_size: usize,
    local_batch_size: usize,
    dp_size: usize,
) -> Result<usize, UnevenBatch> {
    let steps = local_batch_size
        .checked_mul(dp_size)
        .filter(|at_once| *at_once > 0 && global_batch_size.is_multiple_of(*at_once))
        .map(|at_once| global_batch_size / at_once)
        .filter(|steps| *steps > 0);
    steps.ok_or(UnevenBatch { global_batch_size, local_batch_size, dp_size })
}

impl Draft {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let draft = Draft::keys(section);
        section.fixed(FIXED);
        draft
    }
}
