//! Why a schedule cannot have a size.

use super::{Extent, Kind};
use crate::{MicroBatch, Rank};

/// A schedule cannot have this size; holds everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", joined(.problems))]
pub struct GenerateError {
    /// At least one.
    pub problems: Vec<ExtentProblem>,
}

fn joined(problems: &[ExtentProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn counted(num: usize, one: &str, several: &str) -> String {
    format!("{num} {}", if num == 1 { one } else { several })
}

/// One reason why a schedule cannot have a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtentProblem {
    /// Nobody would compute.
    #[error("{kind} on 0 ranks computes nothing, the fewest is 1")]
    NoRanks {
        /// The schedule.
        kind: Kind,
    },
    /// There would be more ranks than ids.
    #[error("{num_ranks} ranks are too many, the limit is {}", Rank::LIMIT)]
    TooManyRanks {
        /// How many were asked for.
        num_ranks: usize,
    },
    /// The schedule has a fixed number of stages on each rank.
    #[error("{kind} has {required} stage per rank, not {given}")]
    StagesPerRank {
        /// The schedule.
        kind: Kind,
        /// How many it has.
        required: usize,
        /// How many were asked for.
        given: usize,
    },
    /// The schedule cannot warm up with so few microbatches.
    #[error(
        "{} too few for {kind} on {}, the fewest is {required}",
        counted(*.given, "microbatch is", "microbatches are"),
        counted(*.num_ranks, "rank", "ranks")
    )]
    TooFewMicrobatches {
        /// The schedule.
        kind: Kind,
        /// How many ranks it runs on.
        num_ranks: usize,
        /// The fewest microbatches.
        required: usize,
        /// How many were asked for.
        given: usize,
    },
    /// There would be more microbatches than ids.
    #[error("{num_microbatches} microbatches are too many, the limit is {}", MicroBatch::LIMIT)]
    TooManyMicrobatches {
        /// How many were asked for.
        num_microbatches: usize,
    },
    /// The table would not fit in memory.
    #[error(
        "a table of {num_ranks} ranks and {num_steps} steps has too many cells, the limit is {MAX_CELLS}"
    )]
    TooLarge {
        /// How many ranks were asked for: rows.
        num_ranks: usize,
        /// How long the schedule is: columns.
        num_steps: usize,
    },
}

/// The largest table, of about 100 MB.
const MAX_CELLS: usize = 1 << 24;

/// Finds everything about an extent that a kind cannot do.
pub(super) fn check(kind: Kind, extent: &Extent) -> Result<(), GenerateError> {
    let &Extent { num_ranks, stages_per_rank, num_microbatches } = extent;
    let mut problems = Vec::new();
    if num_ranks == 0 {
        problems.push(ExtentProblem::NoRanks { kind });
    }
    if num_ranks > Rank::LIMIT {
        problems.push(ExtentProblem::TooManyRanks { num_ranks });
    }
    let required = match kind {
        Kind::GPipe | Kind::OneFOneB => 1,
    };
    if stages_per_rank != required {
        problems.push(ExtentProblem::StagesPerRank { kind, required, given: stages_per_rank });
    }
    let required = match kind {
        Kind::GPipe => 1,
        Kind::OneFOneB => num_ranks.max(1),
    };
    if num_microbatches < required {
        problems.push(ExtentProblem::TooFewMicrobatches {
            kind,
            num_ranks,
            required,
            given: num_microbatches,
        });
    }
    if num_microbatches > MicroBatch::LIMIT {
        problems.push(ExtentProblem::TooManyMicrobatches { num_microbatches });
    }
    if problems.is_empty() {
        let num_steps = match kind {
            Kind::GPipe | Kind::OneFOneB => 2 * (num_ranks + num_microbatches - 1),
        };
        if num_ranks * num_steps > MAX_CELLS {
            problems.push(ExtentProblem::TooLarge { num_ranks, num_steps });
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(GenerateError { problems }) }
}
