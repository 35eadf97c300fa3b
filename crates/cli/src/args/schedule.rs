//! The verbs of `autopipe schedule`.

use clap::builder::Resettable;
use clap::{Subcommand, ValueEnum};

use super::write::ColorArg;
use super::{Lower, Placement, Render, Search, Source, Sources, Timing, Write};

pub(super) const ABOUT: &str = "\
Schedules are tables in torch's CSV, compute-only or with sends and receives; all but generate,
search and placement read one from a file or from standard input, or generate it by --schedule.

Example:
  autopipe schedule generate --schedule 1f1b --pp 4 --microbatches 8 --format csv |
    autopipe schedule simulate --costs F=1,I=1,W=1,comm=0.1";

#[derive(Debug, Subcommand)]
pub(crate) enum Schedule {
    /// Print a schedule by its name: which rank computes what, and when
    #[command(after_help = "Examples:\n  \
        autopipe schedule generate --schedule 1f1b --pp 4 --microbatches 8\n  \
        autopipe schedule generate --schedule gpipe --pp 2 --microbatches 4 --level comms -o gpipe.csv")]
    Generate(Generate),
    /// Add sends, receives and whatever else a run needs to a compute-only schedule
    #[command(after_help = "Examples:\n  \
        autopipe schedule lower plan.csv --torch -o program.csv\n  \
        autopipe schedule lower plan.csv --explain --reduce-grads deferred --max-sends 2\n  \
        autopipe schedule lower --schedule zbv --pp 2 --microbatches 4 --tie 0+3 --rank 0")]
    Lower(Lower),
    /// Prove that a schedule is right, or show everything that is wrong with it
    #[command(
        after_help = "Exits with 0 if the schedule is right, with 1 if not.\n\nExamples:\n  \
        autopipe schedule validate program.csv\n  \
        autopipe schedule validate program.csv --max-activations 4 --json"
    )]
    Validate(Validate),
    /// Say how long a schedule takes, and why
    #[command(after_help = "Examples:\n  \
        autopipe schedule simulate --schedule zb-h1 --pp 4 --microbatches 8\n  \
        autopipe schedule simulate program.csv --costs F=2,B=4,comm=0.5 --comm nccl --json\n  \
        autopipe schedule simulate plan.csv --costs-file costs.json")]
    Simulate(Simulate),
    /// Put the figures of several schedules side by side
    #[command(after_help = "Examples:\n  \
        autopipe schedule compare --schedule gpipe --schedule 1f1b --pp 4 --microbatches 8\n  \
        autopipe schedule compare plan.csv program.csv --costs F=1,I=1,W=0.5,comm=0.1 --json\n  \
        autopipe schedule compare --schedule 1f1b --schedule zbv --pp 4 --microbatches 8 \\\n    \
        --costs-of rank")]
    Compare(Compare),
    /// Find a schedule for given costs and memory
    #[command(after_help = "Examples:\n  \
        autopipe schedule search --pp 4 --microbatches 8 --memory 1p\n  \
        autopipe schedule search --pp 4 --microbatches 12 --stages-per-rank 2 --memory 6 \\\n    \
        --costs F=1,I=1.1,W=0.8,comm=0.1 -o found.csv")]
    Search(Search),
    /// Draw schedules: a page, a picture, a trace, or a table in colours
    #[command(after_help = "Examples:\n  \
        autopipe schedule render --schedule zbv --pp 4 --microbatches 8\n  \
        autopipe schedule render --schedule 1f1b --schedule zb-h1 --pp 4 --microbatches 8 -o page.html\n  \
        autopipe schedule render program.csv --format trace --costs comm=0.2 -o trace.json")]
    Render(Render),
    /// Print which stages each rank has
    #[command(after_help = "Example:\n  \
        autopipe schedule placement --pp 4 --stages 8 --style v --json")]
    Placement(Placement),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Generate {
    /// The schedule's name in torch or in its paper; case does not matter
    ///
    /// There are GPipe, 1F1B, Interleaved1F1B, LoopedBFS, InterleavedZeroBubble, ZBVZeroBubble and
    /// DualPipeV, which torch has, and ZB-H1, ZB-H2, V-Min, V-Half and Hanayo.
    #[arg(long, value_name = "NAME")]
    pub(crate) schedule: autopipe_schedule::Kind,
    /// Pipeline ranks
    #[arg(long, value_name = "P")]
    pub(crate) pp: usize,
    /// Stages on each rank [default: 1, or 2 if the schedule is for several]
    #[arg(long, value_name = "V")]
    pub(crate) stages_per_rank: Option<usize>,
    /// Microbatches of a step
    #[arg(long, value_name = "M")]
    pub(crate) microbatches: usize,
    /// How much of it to print
    #[arg(long, value_enum, default_value_t)]
    pub(crate) level: Level,
    #[command(flatten)]
    pub(crate) write: Write,
}

/// How much of a schedule to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// What each rank computes
    #[default]
    Compute,
    /// Sends and receives as well
    Comms,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Prove as well that no rank ever holds more activations, each of one stage and microbatch
    #[arg(long, value_name = "N", help_heading = Resettable::Reset)]
    pub(crate) max_activations: Option<usize>,
    /// Print the verdict as JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) color: ColorArg,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Simulate {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) timing: Timing,
    /// Print the figures as JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Compare {
    #[command(flatten)]
    pub(crate) sources: Sources,
    #[command(flatten)]
    pub(crate) timing: Timing,
    /// Print the figures as JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}
