//! What can go wrong between a folder on disk and a model in training.

use std::io;
use std::path::PathBuf;

use crate::checkpoint::CheckpointProblem;
use crate::config::{ConfigProblem, listed};
use crate::decoder::{ModuleProblem, TensorParallelProblem};
use crate::hub::HubProblem;
use crate::nearest::hint;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// A file or folder cannot be made, written or moved.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// A file is not JSON.
    #[error("{} is not valid JSON: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it stops to be.
        #[source]
        source: serde_json::Error,
    },
    /// The config does not say what kind of model it is.
    #[error("the config has no `model_type`; supported are {supported}")]
    NoModelType {
        /// The families there are.
        supported: String,
    },
    /// The config is of a kind of model that is not implemented.
    #[error("there is no model family `{model_type}`{}; supported are {supported}", hint(.nearest))]
    UnknownFamily {
        /// The family asked for.
        model_type: String,
        /// The family that was probably meant.
        nearest: Option<String>,
        /// The families there are.
        supported: String,
    },
    /// The config is wrong or asks for what is not implemented.
    #[error("the model's config cannot be used:{}", listed(.problems))]
    Config {
        /// All that is wrong, at least one.
        problems: Vec<ConfigProblem>,
    },
    /// A folder without weights in a known form.
    #[error("{} has neither `model.safetensors` nor `model.safetensors.index.json`", folder.display())]
    NoWeights {
        /// The folder.
        folder: PathBuf,
    },
    /// The files of a checkpoint are damaged or do not fit the model.
    #[error("the checkpoint {} cannot be used:{}", folder.display(), listed(.problems))]
    Checkpoint {
        /// The folder.
        folder: PathBuf,
        /// All that is wrong, at least one.
        problems: Vec<CheckpointProblem>,
    },
    /// Weights cannot be trained in this dtype.
    #[error("weights of {dtype} cannot be trained; choose f32, bf16 or f16")]
    Dtype {
        /// The dtype asked for.
        dtype: String,
    },
    /// A pattern of names that says nothing.
    #[error("`{pattern}` is no pattern: {reason} at character {position}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Where it goes wrong, counted from 0.
        position: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A pattern that freezes nothing.
    #[error("no parameter is named `{pattern}` or lies in a module of that name{}", hint(.nearest))]
    NothingToFreeze {
        /// The pattern.
        pattern: String,
        /// The name that was probably meant.
        nearest: Option<String>,
    },
    /// A number of an adapter outside of its range.
    #[error("the adapter's {what} is {value}, expected {expected}")]
    Adapter {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
        /// Which would do.
        expected: &'static str,
    },
    /// An adapter for matrices that there are not.
    #[error("no matrix of the model is named `{target}` or ends so{}", hint(.nearest))]
    NoTarget {
        /// The target.
        target: String,
        /// The name that was probably meant.
        nearest: Option<String>,
    },
    /// A module to be trained whole that there is not.
    #[error("no module with parameters is named `{pattern}` or ends so{}", hint(.nearest))]
    NoModule {
        /// The name or pattern.
        pattern: String,
        /// The module that was probably meant.
        nearest: Option<String>,
    },
    /// An adapter, or training as a whole, for one of two modules that share their weight.
    #[error(
        "`{module}` shares its weight (`tie_word_embeddings`) and cannot be adapted alone; leave it \
         out, or train without adapters"
    )]
    TiedAdapter {
        /// The module.
        module: String,
    },
    /// Dropout in front of an adapter of an expert.
    #[error(
        "`{module}` is an expert's, whose adapters have no dropout; set the dropout to 0, or leave \
         experts out of the targets"
    )]
    ExpertDropout {
        /// The first such matrix.
        module: String,
    },
    /// The config of an adapter is wrong or asks for what is not implemented.
    #[error("the adapter's config {} cannot be used:{}", path.display(), listed(.problems))]
    AdapterConfig {
        /// The file.
        path: PathBuf,
        /// All that is wrong, at least one.
        problems: Vec<ConfigProblem>,
    },
    /// The model has no adapters that could be saved.
    #[error("the model has no adapters to save; give `lora` in its options, or save the model")]
    NoAdapters,
    /// Adapters for no matrix at all.
    #[error("adapters need at least one target; `all-linear` is all matrices but the head")]
    NoTargets,
    /// A model of the Hugging Face Hub cannot be had.
    #[error("cannot get `{name}` from the Hub: {problem}")]
    Hub {
        /// The name asked for.
        name: String,
        /// Why not.
        #[source]
        problem: HubProblem,
    },
    /// A stage cannot be built of the modules listed.
    #[error("no stage can be built of these modules:{}", listed(.problems))]
    Modules {
        /// All that is wrong, at least one.
        problems: Vec<ModuleProblem>,
    },
    /// A model that cannot be cut among so many tensor-parallel ranks.
    #[error("the model cannot be cut among {num_ranks} tensor-parallel ranks:{}", listed(.problems))]
    TensorParallel {
        /// How many ranks.
        num_ranks: usize,
        /// All that is in the way, at least one.
        problems: Vec<TensorParallelProblem>,
    },
    /// A parameter's tensor cannot be made.
    #[error("cannot make the parameter `{name}`: {}", plain(.source))]
    Parameter {
        /// The parameter.
        name: String,
        /// What candle says.
        #[source]
        source: candle_core::Error,
    },
    /// The layers cannot be made of their parameters.
    #[error("cannot assemble the layers of a stage: {}", plain(.source))]
    Build {
        /// What candle says.
        #[source]
        source: candle_core::Error,
    },
    /// A shard's number is not below the number of shards.
    #[error("shard {index} is none of {num_shards}; shards are counted from 0")]
    Shard {
        /// The number given.
        index: usize,
        /// How many there are.
        num_shards: usize,
    },
    /// A tensor cannot be written to a checkpoint.
    #[error("cannot write the parameter `{name}`: {}", plain(.source))]
    Save {
        /// The parameter.
        name: String,
        /// What candle says.
        #[source]
        source: candle_core::Error,
    },
    /// Two parameters of one name in a shard.
    #[error("the parameter `{name}` is on two stages of this rank")]
    SavedTwice {
        /// The name.
        name: String,
    },
    /// Tensors that a safetensors file cannot describe.
    #[error("cannot write the header of {}: {source}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What safetensors says.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// A folder cannot be replaced because it has no name of its own.
    #[error("{} is no name for a checkpoint folder", path.display())]
    NoFolderName {
        /// The path given.
        path: PathBuf,
    },
}

/// candle's error without the backtrace that it may print in the midst of a message.
fn plain(error: &candle_core::Error) -> &candle_core::Error {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => plain(inner),
        other => other,
    }
}
