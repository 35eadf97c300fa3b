//! What can be wrong with a pipeline before it runs, and what the runtime reports.

use autopipe_config::{Invalid, Unsupported};
use autopipe_runtime::BoxError;

/// An error of [`AutoPipeline`](crate::AutoPipeline).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Options that contradict themselves or each other; at least one.
    #[error("{}", .0.iter().map(|problem| format!("{}: {problem}", problem.option())).collect::<Vec<_>>().join("; "))]
    Config(Vec<Invalid>),
    /// `pp_schedule_csv` is a path, and nobody has read it.
    #[error(
        "pp_schedule_csv names the file `{path}`, and this crate reads no files: parse it with autopipe_schedule::csv and give the table to `AutoPipeline::with_schedule`"
    )]
    UnreadCsv {
        /// The path.
        path: String,
    },
    /// A table for other sizes than the configuration's.
    #[error("the schedule table has {table} {what}, the configuration {config}")]
    TableSize {
        /// `ranks` or `microbatches`.
        what: &'static str,
        /// How many the table has.
        table: usize,
        /// How many the configuration gives.
        config: usize,
    },
    /// Options that are set and would do nothing.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unsupported(Vec<Unsupported>),
    /// An axis that this version cannot use.
    #[error(
        "the mesh's axis `{axis}` has size {size}; only the pipeline axis `pp` can be larger than 1 so far"
    )]
    Axis {
        /// The axis.
        axis: String,
        /// Its size.
        size: usize,
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
    /// The schedule's name is not known.
    #[error(transparent)]
    UnknownSchedule(#[from] autopipe_schedule::UnknownKind),
    /// The schedule does not exist for these sizes.
    #[error(transparent)]
    Generate(#[from] autopipe_schedule::GenerateError),
    /// The table cannot be completed with sends and receives.
    #[error(transparent)]
    Lower(#[from] autopipe_schedule::LowerError),
    /// The table is not a correct schedule.
    #[error(transparent)]
    Invalid(#[from] autopipe_schedule::Violations),
    /// A step failed.
    #[error(transparent)]
    Runtime(#[from] autopipe_runtime::Error),
}
