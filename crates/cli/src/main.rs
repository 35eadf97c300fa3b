//! The command `autopipe`: reads arguments, recipes and the environment, prints, and nothing else.

use std::process::ExitCode;

use autopipe::memory::CountingAllocator;
use clap::Parser as _;
use mimalloc::MiMalloc;

mod args;
mod bench;
mod export;
mod generate;
mod hub;
mod init;
mod interrupt;
mod log;
mod model;
mod output;
mod plan;
mod progress;
mod recipe;
mod report;
mod schedule;
mod seat;
mod setting;
mod threads;
mod train;
mod verify;

/// glibc's allocator gives freed buffers back to the system at every operation; this one keeps them
/// (`threads::keep_memory`). Around it, what each rank holds is counted.
#[global_allocator]
static ALLOCATOR: CountingAllocator<MiMalloc> = CountingAllocator::new(MiMalloc);

fn main() -> ExitCode {
    let args = args::Args::parse();
    log::install(&args.log);
    let result = match args.command {
        args::Command::Train(args) => train::run(&args),
        args::Command::Init(args) => init::run(&args).map(|()| ExitCode::SUCCESS),
        args::Command::Plan(args) => plan::run(&args).map(|()| ExitCode::SUCCESS),
        args::Command::Bench(args) => bench::run(&args).map(|()| ExitCode::SUCCESS),
        args::Command::Verify(args) => verify::run(&args),
        args::Command::Generate(args) => generate::run(&args).map(|()| ExitCode::SUCCESS),
        args::Command::Export(args) => export::run(&args).map(|()| ExitCode::SUCCESS),
        args::Command::Report(args) => report::run(&args).map(|()| ExitCode::SUCCESS),
        args::Command::Schema => recipe::print_schema().map(|()| ExitCode::SUCCESS),
        args::Command::Schedule(verb) => schedule::run(&verb),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            // As clap does with what it finds itself.
            let is_usage = error.is::<schedule::Usage>();
            if is_usage { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
