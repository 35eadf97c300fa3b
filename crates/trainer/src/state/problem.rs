//! Why a run cannot go on from a checkpoint, or leave one.

use std::io;
use std::path::PathBuf;

/// Why a run cannot go on from a checkpoint, or leave one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateProblem {
    /// The folder has a model and nothing else.
    #[error(
        "`{}` has no training state to go on from; to begin anew from its weights, give it as \
         `model.pretrained_model_name_or_path`",
        checkpoint.display()
    )]
    NoState {
        /// The folder.
        checkpoint: PathBuf,
    },
    /// The place in the data is one in other data.
    #[error(
        "an epoch of source {source_number} had {then} entries when the checkpoint was taken, and has \
         {now}; go on with the same files and `seq_len`, or begin anew from the checkpoint's weights, as \
         `model.pretrained_model_name_or_path`"
    )]
    OtherData {
        /// The source, counted from 1.
        source_number: usize,
        /// Its rows or samples then.
        then: u64,
        /// Those of now.
        now: u64,
    },
    /// The place in the data is one in another order of them.
    #[error(
        "{}: rows come in another order, so that the run would not go on with those it has not seen; go on \
         with what the checkpoint was taken with, or begin anew from its weights, as \
         `model.pretrained_model_name_or_path`",
        differences.join(", ")
    )]
    OtherOrder {
        /// Each key that says something else, with both values.
        differences: Vec<String>,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what was written.
    #[error("`{}` is damaged: {source}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A file of another version of this program.
    #[error(
        "`{}` is of version {found}, and this program reads version {known}; go on with the program \
         that wrote it",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The one that can be read.
        known: u32,
    },
    /// The recipe's optimiser is another one.
    #[error(
        "`{}` was trained with {saved}, and the recipe says {asked}; what one remembers means nothing \
         to the other: keep `optimizer.name`, or begin anew from the weights, with the folder as \
         `model.pretrained_model_name_or_path`",
        checkpoint.display()
    )]
    Optimizer {
        /// The checkpoint's folder.
        checkpoint: PathBuf,
        /// The rule in it.
        saved: String,
        /// The recipe's.
        asked: String,
    },
    /// The model is not the one that was saved.
    #[error(
        "the model of `{}` is not the recipe's: {}; keep `model` and `peft` as they were, or begin \
         anew in another folder",
        checkpoint.display(),
        differences.join("; ")
    )]
    Model {
        /// The checkpoint's folder.
        checkpoint: PathBuf,
        /// The first differences.
        differences: Vec<String>,
    },
    /// The checkpoint has its adapters merged.
    #[error(
        "the adapters of `{}` are merged into the model, so that they cannot be trained on; go on from \
         an earlier checkpoint",
        checkpoint.display()
    )]
    Merged {
        /// The checkpoint's folder.
        checkpoint: PathBuf,
    },
    /// Nothing is where a run should go on.
    #[error("there is no checkpoint in `{}` to go on from", path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
    /// A file of the optimiser is there twice, or one is missing.
    #[error(
        "`{}` has {found} files of the optimiser, which belong to {expected}: it is not whole",
        folder.display()
    )]
    Files {
        /// The folder of the state.
        folder: PathBuf,
        /// Files there.
        found: usize,
        /// What their names say.
        expected: usize,
    },
    /// The optimiser cannot be saved or read back.
    #[error("the optimiser's `{name}`: {source}")]
    Tensor {
        /// The tensor.
        name: String,
        /// Why.
        source: candle_core::Error,
    },
    /// safetensors cannot write a file.
    #[error("cannot write `{}`: {source}", path.display())]
    Save {
        /// The file.
        path: PathBuf,
        /// Why.
        source: safetensors::SafeTensorError,
    },
}
