//! Where schedules come from: files, standard input, or a name and a size.

use std::path::PathBuf;

use autopipe_schedule::Kind;
use clap::builder::Resettable;

/// One schedule.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which schedule")]
pub(crate) struct Source {
    /// A table in torch's CSV, compute-only or with sends and receives; `-` for standard input,
    /// which is also read if it is piped and nothing else is named
    #[arg(value_name = "FILE", conflicts_with = "schedule", help_heading = Resettable::Reset)]
    pub(crate) file: Option<PathBuf>,
    /// Generate a schedule instead, by its name in torch or in its paper; case does not matter
    ///
    /// There are GPipe, 1F1B, Interleaved1F1B, LoopedBFS, InterleavedZeroBubble, ZBVZeroBubble and
    /// DualPipeV, which torch has, and ZB-H1, ZB-H2, V-Min, V-Half and Hanayo.
    #[arg(long, value_name = "NAME", requires_all = ["pp", "microbatches"])]
    pub(crate) schedule: Option<Kind>,
    #[command(flatten)]
    pub(crate) size: Size,
}

/// One schedule or several.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which schedules")]
pub(crate) struct Sources {
    /// Tables in torch's CSV, compute-only or with sends and receives, and the timeline.json of
    /// training runs; `-` for standard input, which is also read if it is piped and nothing else is
    /// named
    #[arg(value_name = "FILE", help_heading = Resettable::Reset)]
    pub(crate) files: Vec<PathBuf>,
    /// Generate a schedule as well, by its name in torch or in its paper; may be repeated, and
    /// --stages-per-rank is then for those that leave it open
    ///
    /// There are GPipe, 1F1B, Interleaved1F1B, LoopedBFS, InterleavedZeroBubble, ZBVZeroBubble and
    /// DualPipeV, which torch has, and ZB-H1, ZB-H2, V-Min, V-Half and Hanayo.
    #[arg(long, value_name = "NAME", requires_all = ["pp", "microbatches"])]
    pub(crate) schedule: Vec<Kind>,
    #[command(flatten)]
    pub(crate) size: Size,
}

/// The size of what is generated.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Size {
    /// Pipeline ranks
    #[arg(long, value_name = "P", requires = "schedule")]
    pub(crate) pp: Option<usize>,
    /// Stages on each rank [default: 1, or 2 if the schedule is for several]
    #[arg(long, value_name = "V", requires = "schedule")]
    pub(crate) stages_per_rank: Option<usize>,
    /// Microbatches of a step
    #[arg(long, value_name = "M", requires = "schedule")]
    pub(crate) microbatches: Option<usize>,
}
