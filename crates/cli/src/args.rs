//! The arguments and their help texts.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Pipeline-parallel training for candle, and tools for pipeline schedules.
#[derive(Debug, Parser)]
#[command(name = "autopipe", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model as a recipe says
    #[command(after_help = "Example:\n  autopipe train examples/quickstart.yaml")]
    Train(Train),
    /// Work with pipeline schedules, with or without a model
    #[command(subcommand, arg_required_else_help = true)]
    Schedule(Schedule),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Train {
    /// The recipe, a YAML or JSON file; its paths are relative to the working directory
    pub(crate) recipe: PathBuf,
    /// Threads that each rank computes with [default: an even share of the cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads_per_rank: Option<u16>,
    /// Seconds that a rank waits for another before the run fails
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Schedule {
    /// Print a schedule: which rank computes what, and when
    #[command(after_help = "Examples:\n  \
        autopipe schedule generate --schedule 1f1b --pp 4 --microbatches 8\n  \
        autopipe schedule generate --schedule gpipe --pp 2 --microbatches 4 --level comms --format csv")]
    Generate(Generate),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Generate {
    /// The schedule's name, as torch has it: 1F1B, GPipe (case does not matter)
    #[arg(long, value_name = "NAME")]
    pub(crate) schedule: autopipe_schedule::Kind,
    /// Pipeline ranks
    #[arg(long, value_name = "P")]
    pub(crate) pp: usize,
    /// Stages on each rank
    #[arg(long, value_name = "V", default_value_t = 1)]
    pub(crate) stages_per_rank: usize,
    /// Microbatches of a step
    #[arg(long, value_name = "M")]
    pub(crate) microbatches: usize,
    /// What to print of it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) level: Level,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
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

/// The form of a printed schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people, one column per rank
    #[default]
    Table,
    /// torch's CSV, one row per rank
    Csv,
}
