//! The section `checkpoint`: where and whether the state of a run is saved.

use crate::section::{Fixed, Flag, Kind as _, Only, Section, Size, Text, section};

section! {
    /// Where and whether the state of a run is saved.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Checkpoint {
        /// Whether anything is saved.
        enabled: bool = Flag.or(true),
        /// The folder of the run: its checkpoints, metrics and timelines.
        checkpoint_dir: String = Text.or("checkpoints"),
        /// How many of the newest checkpoints stay; all without it. The best one stays besides.
        keep: Option<usize> = Size.optional(),
        /// Whether an evaluation that is better than all before is followed by a checkpoint, which
        /// then is the best one.
        save_best: bool = Flag.or(true),
        /// Whether training goes on while a checkpoint is written, from a copy in memory of all that
        /// is trained.
        is_async: bool = Flag.or(true),
        /// The training state that the run begins with: the folder of a checkpoint or of a run, whose
        /// newest it then is, or `LATEST` for this run's own, if there is one.
        restore_from: Option<String> = Text.optional(),
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
];

impl Draft {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let draft = Draft::keys(section);
        section.fixed(FIXED);
        draft
    }
}
