//! `autopipe schedule generate`: a schedule by its name.

use autopipe_schedule::{Extent, generate, lower};

use super::write::{Shown, write};
use crate::args::{Generate, Level};

/// Prints a schedule.
///
/// # Errors
/// If there is no such schedule of these sizes.
pub(super) fn run(args: &Generate) -> anyhow::Result<()> {
    let usual = || args.schedule.stages_per_rank().usual();
    let extent = Extent {
        num_ranks: args.pp,
        stages_per_rank: args.stages_per_rank.unwrap_or_else(usual),
        num_microbatches: args.microbatches,
    };
    let plan = generate(args.schedule, &extent)?;
    match args.level {
        Level::Compute => write(Shown::Plan(&plan), &args.write),
        Level::Comms => write(Shown::Program(&lower(&plan)), &args.write),
    }
}
