//! The arguments and their help texts.

mod bench;
mod costs;
mod export;
mod generate;
mod init;
mod lower;
mod placement;
mod plan;
mod render;
mod report;
mod schedule;
mod search;
mod source;
mod verify;
mod world;
mod write;

use std::path::PathBuf;

use autopipe_trainer::DeviceChoice;
use clap::{Parser, Subcommand};

use crate::log::Levels;

pub(crate) use bench::Bench;
pub(crate) use costs::{CostsArgs, CostsOf, Timing};
pub(crate) use export::Export;
pub(crate) use generate::GenerateText;
pub(crate) use init::Init;
pub(crate) use lower::{
    Lookahead, Lower, OptimizerSteps, Passes, Receives, Recompute, ReduceGrads, Tie,
};
pub(crate) use placement::Placement;
pub(crate) use plan::{Ask, Machine, Plan};
pub(crate) use render::{Picture, Render};
pub(crate) use report::Report;
pub(crate) use schedule::{Compare, Generate, Level, Schedule, Simulate, Validate};
pub(crate) use search::{MemoryLimit, Search};
pub(crate) use source::{Size, Source, Sources};
pub(crate) use verify::{ScheduleArg, Verify};
pub(crate) use world::World;
pub(crate) use write::{Color, Form, Write};

/// Pipeline-parallel training for candle, and tools for pipeline schedules.
#[derive(Debug, Parser)]
#[command(name = "autopipe", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Args {
    /// What to tell of the work on standard error: error, warn, info, debug or trace, also by part,
    /// such as warn,autopipe_runtime=debug
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        default_value = "warn",
        hide_default_value = true,
        help_heading = "Log"
    )]
    pub(crate) log: Levels,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model as a recipe says
    #[command(
        after_help = "Examples:\n  autopipe train examples/quickstart.yaml\n  autopipe train examples/quickstart.yaml --set step_scheduler.max_steps=50\n  mpirun -n 2 --bind-to none autopipe train examples/quickstart.yaml\n  torchrun --nproc-per-node 2 --no-python autopipe train examples/quickstart.yaml\n  autopipe train examples/quickstart.yaml --rank 0 --world-size 2 --master 10.0.0.1:29500"
    )]
    Train(Train),
    /// Write a recipe for a model and data
    #[command(after_help = init::EXAMPLES)]
    Init(Init),
    /// Show what a run would do and take: stages, memory, time, and what could be better
    #[command(after_help = plan::EXAMPLES)]
    Plan(Box<Plan>),
    /// Measure how fast a pipeline trains on this machine
    #[command(after_help = bench::EXAMPLES)]
    Bench(Box<Bench>),
    /// Check that a model that is split computes what it computes unsplit
    #[command(after_help = verify::EXAMPLES)]
    Verify(Box<Verify>),
    /// Go on with a text
    #[command(after_help = generate::EXAMPLES)]
    Generate(Box<GenerateText>),
    /// Write a model anew: with adapters merged into it, or in another type
    #[command(after_help = export::EXAMPLES)]
    Export(Export),
    /// Show a run as one page: curves, timeline, checkpoints
    #[command(after_help = report::EXAMPLES)]
    Report(Report),
    /// Print the JSON schema of recipes, for editors
    #[command(after_help = "Example:\n  autopipe schema > recipe.schema.json")]
    Schema,
    /// Work with pipeline schedules, with or without a model
    #[command(
        subcommand,
        arg_required_else_help = true,
        after_help = schedule::ABOUT
    )]
    Schedule(Box<Schedule>),
}

/// What the ranks of a run are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Launch {
    Auto,
    Threads,
    Mpi,
    Tcp,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Train {
    /// The recipe, a YAML or JSON file; its paths are relative to the working directory
    pub(crate) recipe: PathBuf,
    /// Set a value of the recipe, such as distributed.pp_size=4; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Go on with the run in the recipe's folder, from its newest checkpoint; begin if there is none
    #[arg(long)]
    pub(crate) resume: bool,
    /// Write a trace of this step beside what was predicted, for ui.perfetto.dev
    #[arg(long, value_name = "STEP", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) trace: Option<u64>,
    /// What ranks are: threads of this process, or processes, of which this is one, that reach each other
    /// by MPI or over TCP; auto looks whether there are several, and what has started them
    #[arg(long, value_name = "KIND", default_value = "auto")]
    pub(crate) launch: Launch,
    /// What ranks compute on: cpu, cuda, or auto, which is GPUs where this build and the machine have
    /// some
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub(crate) device: DeviceChoice,
    /// Let tensors go from GPU to GPU by NCCL, one rank on each, and not over the host
    #[arg(long)]
    pub(crate) nccl: bool,
    /// Threads that each rank computes with [default: an even share of the cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads_per_rank: Option<u16>,
    /// Seconds that a rank waits for another, to start as well, before the run fails
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,
    #[command(flatten)]
    pub(crate) world: World,
}
