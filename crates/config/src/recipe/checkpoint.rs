//! The section `checkpoint`: where and whether the state of a run is saved.

use crate::section::{Fixed, Flag, Kind as _, Only, Section, Text, section};

section! {
    /// Where and whether the state of a run is saved.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Checkpoint {
        /// Whether anything is saved.
        enabled: bool = Flag.or(true),
        /// The folder of all checkpoints of the run.
        checkpoint_dir: String = Text.or("checkpoints"),
    }
}

const FIXED: &[Fixed] = &[
    Fixed {
        key: "model_save_format",
        only: &[Only::Text("safetensors")],
        reason: "weights are saved as safetensors",
    },
    Fixed {
        key: "save_consolidated",
        only: &[Only::Flag(true), Only::Flag(false)],
        reason: "each rank writes a file of its own, and all together are a Hugging Face folder",
    },
    Fixed {
        key: "is_async",
        only: &[Only::Flag(false)],
        reason: "training waits until a checkpoint is written",
    },
    Fixed {
        key: "restore_from",
        only: &[],
        reason: "a run begins with the weights of `model`, which may be a checkpoint's folder",
    },
];

impl Draft {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let draft = Draft::keys(section);
        section.fixed(FIXED);
        draft
    }
}
