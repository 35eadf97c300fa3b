//! Where a result goes and what it looks like.

use std::path::PathBuf;

use clap::ValueEnum;

/// How to write a schedule.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Write {
    /// How to write the schedule [default: csv if FILE ends in .csv, else table]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Form>,
    /// Write it to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) color: ColorArg,
}

/// The form of a written schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// A table for people, one column per rank
    Table,
    /// torch's CSV, one line per rank
    Csv,
}

/// Whether a table has colours.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct ColorArg {
    /// Colour the tables' actions: on a terminal unless NO_COLOR is set, always, or never
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", hide_possible_values = true)]
    pub(crate) color: Color,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// If the table goes to a terminal and NO_COLOR is not set
    #[default]
    Auto,
    /// Whatever it goes to
    Always,
    /// Not at all
    Never,
}
