//! The options of `autopipe schedule render`.

use std::path::PathBuf;

use clap::ValueEnum;

use super::write::ColorArg;
use super::{Sources, Timing};

#[derive(Debug, clap::Args)]
pub(crate) struct Render {
    #[command(flatten)]
    pub(crate) sources: Sources,
    #[command(flatten)]
    pub(crate) timing: Timing,
    /// What to draw [default: by the ending of FILE, else table]
    #[arg(long, value_enum, help_heading = "Output")]
    pub(crate) format: Option<Picture>,
    /// Write it to this file instead of standard output
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) color: ColorArg,
}

/// The form of a drawn schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Picture {
    /// One self-contained page: zoom, facts of each action, critical path, memory
    Html,
    /// A picture
    Svg,
    /// A trace for Perfetto or chrome://tracing, of one schedule
    Trace,
    /// The figures, as `simulate --json` has them; of several schedules, a list
    Json,
    /// torch's CSV, of one schedule
    Csv,
    /// A table, one column per rank
    Table,
}
