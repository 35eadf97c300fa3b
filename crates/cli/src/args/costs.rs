//! What computing and sending costs.

use std::path::PathBuf;

use autopipe_schedule::{Communication, Costs};
use clap::ValueEnum;

/// Costs, and how messages pass.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Costs")]
pub(crate) struct Timing {
    #[command(flatten)]
    pub(crate) costs: CostsArgs,
    /// When a message passes: as soon as it is sent (async), once its receive is posted
    /// (rendezvous), or in its turn in each rank's one queue (nccl) [default: async, or as the costs
    /// say]
    #[arg(long, value_name = "MODEL", value_parser = <Communication as std::str::FromStr>::from_str)]
    pub(crate) comm: Option<Communication>,
    /// Whose the costs and sizes are: each stage's, or those of each rank's whole share of the
    /// model, so that schedules with more stages per rank have smaller ones
    #[arg(long, value_enum, default_value_t, value_name = "WHOSE", hide_possible_values = true)]
    pub(crate) costs_of: CostsOf,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Costs")]
pub(crate) struct CostsArgs {
    /// Times of F, I, W, B and R, the latency of a message (comm), and more as `F=1,I=1,W=1,comm=0`;
    /// `F=1:1:2` is one value for each stage [default: F, I and W take 1, all else nothing]
    ///
    /// Times of a stage: F, I, W, B (I + W if not given), R (as F), overlap (of an F and a B at once;
    /// or overlap_factor, their sum's part), unshard, reshard, reduce_grad, reduce_tied,
    /// optimizer_step. Of a message between two stages: latency (or comm), bytes and bandwidth.
    /// Sizes: activation (of one stage and microbatch), held_for_w (its part that is left between I
    /// and W), held_for_r (the same between F and R), resident (of a stage, all the time), and
    /// workspace_f, workspace_i, workspace_w, workspace_b and workspace_r (while one is computed).
    /// Factors of the first microbatches: microbatches (of times), microbatch_sizes.
    #[arg(long, value_name = "KEY=VALUE,..", conflicts_with = "costs_file")]
    pub(crate) costs: Option<Costs>,
    /// Read the costs from a JSON file: the same keys, `{"F": [1, 1, 2], "comm": 0.1}`, or the
    /// timeline.json or a trace of a training run, whose costs were measured; of the same schedule,
    /// what was measured stands beside what is predicted
    #[arg(long, alias = "costs-from", value_name = "FILE")]
    pub(crate) costs_file: Option<PathBuf>,
}

/// What one value of the costs is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum CostsOf {
    /// A stage
    #[default]
    Stage,
    /// A rank, whose stages share it evenly
    Rank,
}
