//! What can be wrong with a pipeline before it runs, and what the runtime reports.

use std::path::PathBuf;

use autopipe_config::{DType, Invalid, Unsupported};
use autopipe_runtime::BoxError;

use crate::Split;

/// An error of [`AutoPipeline`](crate::AutoPipeline).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Options that contradict themselves or each other; at least one.
    #[error("{}", .0.iter().map(|problem| format!("{}: {problem}", problem.option())).collect::<Vec<_>>().join("; "))]
    Config(Vec<Invalid>),
    /// `pp_schedule_csv` is a path, and nobody has read it.
    #[error(
        "pp_schedule_csv names the file `{path}`, and this crate reads no files: parse it with autopipe_schedule::csv and give the table as `PipelineArgs::table`"
    )]
    UnreadCsv {
        /// The path.
        path: String,
    },
    /// A table for another number of ranks.
    #[error(
        "the schedule's table has {table} rows, one per rank, and the pipeline {pp_size} ranks"
    )]
    TableRanks {
        /// Rows of the table.
        table: usize,
        /// Ranks of the pipeline.
        pp_size: usize,
    },
    /// A table for another number of microbatches.
    #[error(
        "the schedule's table has {table} microbatches, but a batch of {batch} in microbatches of \
         {microbatch} makes {}; change pp_microbatch_size or the batch",
        batch / microbatch
    )]
    TableMicrobatches {
        /// Microbatches of the table.
        table: usize,
        /// `pp_batch_size`.
        batch: usize,
        /// `pp_microbatch_size`, which divides it.
        microbatch: usize,
    },
    /// A table that trains nothing.
    #[error(
        "the schedule's table only goes forward; training needs B, or I and W, of every stage and \
         microbatch"
    )]
    NoBackward,
    /// Lists of modules for another number of stages.
    #[error("the schedule has {schedule} stages, module_fqns_per_model_part lists {lists}")]
    NumLists {
        /// Stages of the schedule.
        schedule: usize,
        /// Lists given.
        lists: usize,
    },
    /// Options that are set and would do nothing.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unsupported(Vec<Unsupported>),
    /// An axis that this version cannot use.
    #[error(
        "the mesh's axis `{axis}` has size {size}; only the pipeline's axis, one of replicas \
         (`dp_replicate`), one whose ranks share parameters out (`dp_shard`) and one whose ranks have \
         parts of each matrix (`tp`) can be larger than 1 so far"
    )]
    Axis {
        /// The axis.
        axis: String,
        /// Its size.
        size: usize,
    },
    /// An expert axis without a mesh that has it.
    #[error("the axis `{axis}` is one of experts, and there is no expert mesh; give `moe_mesh`")]
    NoExpertMesh {
        /// The axis.
        axis: String,
    },
    /// No device to be had.
    #[error("rank {rank} cannot use a GPU: {source}; give `device`")]
    Device {
        /// Whose it was to be.
        rank: usize,
        /// What candle says.
        source: candle_core::Error,
    },
    /// A picture of another kind.
    #[error(
        "`{}` does not say how to draw: the endings are {}",
        .path.display(),
        .endings.map(|ending| format!("`.{ending}`")).join(", ")
    )]
    PictureEnding {
        /// The file asked for.
        path: PathBuf,
        /// The endings there are.
        endings: [&'static str; 4],
    },
    /// A picture that cannot be written.
    #[error("cannot write the picture `{}`: {source}", .path.display())]
    WritePicture {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Mesh and communicator disagree.
    #[error("the mesh has {mesh} ranks, the communicator {world}")]
    WorldSize {
        /// Ranks in the mesh.
        mesh: usize,
        /// Ranks in the communicator.
        world: usize,
    },
    /// A method that needs a built pipeline.
    #[error("{method} needs a built pipeline: call `build` first")]
    NotBuilt {
        /// The method called too early.
        method: &'static str,
    },
    /// A part that this rank does not have.
    #[error("there is no part {part}: this rank has {num_parts}, counted from 0")]
    NoSuchPart {
        /// The part asked for.
        part: usize,
        /// How many there are.
        num_parts: usize,
    },
    /// A stage could not be built or loaded.
    #[error("stage {stage}: {source}")]
    Stage {
        /// The stage.
        stage: usize,
        /// What the model says.
        source: BoxError,
    },
    /// The mesh refuses.
    #[error(transparent)]
    Mesh(#[from] autopipe_mesh::Error),
    /// The model cannot be cut so.
    #[error(transparent)]
    Split(#[from] autopipe_splitter::Error),
    /// Lists of modules that the ranks cannot share.
    #[error(
        "module_fqns_per_model_part lists {lists} stages, which {pp_size} ranks cannot share evenly; \
         list a multiple of {pp_size}"
    )]
    UnevenLists {
        /// Lists given.
        lists: usize,
        /// Ranks of the pipeline.
        pp_size: usize,
    },
    /// A model without a trainable parameter.
    #[error("nothing to train: all {num_parameters} parameters are frozen")]
    NothingToTrain {
        /// How many parameters the model has.
        num_parameters: usize,
    },
    /// The model computes in another dtype than the configuration says.
    #[error(
        "dtype is {expected}, but the model gives {dtype} from `{from}` to `{to}`; load the model in \
         {expected}, or leave dtype out"
    )]
    DType {
        /// `dtype` of the configuration.
        expected: DType,
        /// The model's.
        dtype: DType,
        /// The module that makes the first such tensor.
        from: String,
        /// The module that takes it.
        to: String,
    },
    /// One tensor that is to be trained and not to be.
    #[error(
        "`{parameter}` is the same tensor as `{owner}`, and only one of the two is trainable; train \
         or freeze both"
    )]
    HalfFrozen {
        /// The one that is declared as shared.
        parameter: String,
        /// The parameter that it is the same as.
        owner: String,
    },
    /// A layout whose stages the ranks cannot share.
    #[error(
        "the layout `{split}` has {stages} stages, which {pp_size} ranks cannot share evenly; write a \
         multiple of {pp_size}"
    )]
    LayoutStages {
        /// The layout.
        split: Split,
        /// Its stages.
        stages: usize,
        /// Ranks of the pipeline.
        pp_size: usize,
    },
    /// Two ways to split at once.
    #[error(
        "module_fqns_per_model_part says already which stage has what, so that `{split}` has no effect; \
         leave one of the two out"
    )]
    SplitTwice {
        /// The other way.
        split: Split,
    },
    /// The model cannot be balanced.
    #[error(transparent)]
    Balance(#[from] autopipe_splitter::BalanceError),
    /// The way of a tensor is left open.
    #[error(transparent)]
    Route(#[from] autopipe_splitter::RouteError),
    /// The schedule's name is not known.
    #[error(transparent)]
    UnknownSchedule(#[from] autopipe_schedule::UnknownKind),
    /// The schedule does not exist for these sizes.
    #[error(transparent)]
    Generate(#[from] autopipe_schedule::GenerateError),
    /// There are more ties than a program can number.
    #[error(transparent)]
    Lower(#[from] autopipe_schedule::lower::LowerError),
    /// The table is not a correct schedule.
    #[error(transparent)]
    Invalid(#[from] autopipe_schedule::Violations),
    /// A step failed.
    #[error(transparent)]
    Runtime(#[from] autopipe_runtime::Error),
}
