//! `autopipe schedule`: schedules for people and for files, one file a verb.

mod color;
mod compare;
mod costs;
pub(crate) mod figures;
mod generate;
mod lower;
mod measured;
mod placement;
mod read;
mod render;
mod search;
mod simulate;
mod timed;
mod validate;
mod write;

use std::process::ExitCode;

use crate::args::Schedule;

/// Arguments that do not go together, found after clap has read them.
#[derive(Debug, thiserror::Error)]
#[error("{0}\n\nFor more information, try '--help'.")]
pub(crate) struct Usage(pub(crate) String);

/// Does what a verb says.
///
/// # Errors
/// If a schedule cannot be read or generated, is not right, or cannot be written.
pub(crate) fn run(verb: &Schedule) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match verb {
        Schedule::Generate(args) => generate::run(args).map(done),
        Schedule::Lower(args) => lower::run(args).map(done),
        Schedule::Validate(args) => validate::run(args),
        Schedule::Simulate(args) => simulate::run(args).map(done),
        Schedule::Compare(args) => compare::run(args).map(done),
        Schedule::Search(args) => search::run(args).map(done),
        Schedule::Render(args) => render::run(args).map(done),
        Schedule::Placement(args) => placement::run(args).map(done),
    }
}
