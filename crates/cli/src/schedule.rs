//! `autopipe schedule`: schedules for people and for files.

use autopipe_schedule::{Extent, csv, generate as generate_plan, lower, table};

use crate::args::{Format, Generate, Level};
use crate::output;

/// `autopipe schedule generate`.
///
/// # Errors
/// If there is no such schedule of these sizes.
pub(crate) fn generate(args: &Generate) -> anyhow::Result<()> {
    let extent = Extent {
        num_ranks: args.pp,
        stages_per_rank: args.stages_per_rank,
        num_microbatches: args.microbatches,
    };
    let plan = generate_plan(args.schedule, &extent)?;
    let text = match (args.level, args.format) {
        (Level::Compute, Format::Table) => table(&plan),
        (Level::Compute, Format::Csv) => csv::plan_to_string(&plan),
        (Level::Comms, Format::Table) => autopipe_schedule::program_table(&lower(&plan)),
        (Level::Comms, Format::Csv) => csv::program_to_string(&lower(&plan)),
    };
    output::result(&text)
}
