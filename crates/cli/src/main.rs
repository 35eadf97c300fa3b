//! The command `autopipe`: reads arguments, recipes and the environment, prints, and nothing else.

use std::process::ExitCode;

use clap::Parser as _;

mod args;
mod output;
mod progress;
mod schedule;
mod threads;
mod train;

/// glibc's allocator gives freed buffers back to the system at every operation; this one keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let result = match args.command {
        args::Command::Train(args) => train::run(&args),
        args::Command::Schedule(args::Schedule::Generate(args)) => schedule::generate(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}
