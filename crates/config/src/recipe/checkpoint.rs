//! The section `checkpoint`: where and whether the state of a run is saved.

use super::StepScheduler;
use crate::section::{Reported, Section, flag, text};

/// Where and whether the state of a run is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whether anything is saved.
    pub enabled: bool,
    /// The folder of all checkpoints of the run.
    pub checkpoint_dir: String,
}

impl Checkpoint {
    pub(super) fn read(
        mut section: Section<'_>,
        steps: Option<&StepScheduler>,
    ) -> Result<Self, Reported> {
        let enabled = section.or("enabled", true, flag);
        let checkpoint_dir = section.or("checkpoint_dir", String::from("checkpoints"), text);
        let is_asked_for = steps.is_some_and(|steps| steps.ckpt_every_steps.is_some());
        if enabled == Ok(false) && is_asked_for {
            let message = "nothing is saved, although `step_scheduler.ckpt_every_steps` is set";
            section.warn("enabled", message, "remove one of the two");
        }
        section.finish();
        Ok(Checkpoint { enabled: enabled?, checkpoint_dir: checkpoint_dir? })
    }
}
