//! Why a schedule cannot have a size.

use super::rounds::num_rounds;
use super::{BackwardStyle, Extent, Kind, MicrobatchRule, StagesPerRank};
use crate::listing::and;
use crate::{MicroBatch, Overlap, Rank, Stage};

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

fn allowed(rule: StagesPerRank) -> String {
    match rule {
        StagesPerRank::Exactly(required) => counted(required, "stage per rank", "stages per rank"),
        StagesPerRank::AtLeast(fewest) => {
            format!("at least {}", counted(fewest, "stage per rank", "stages per rank"))
        }
        StagesPerRank::Between(fewest, most) => format!("{fewest} to {most} stages per rank"),
    }
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
    /// The schedule has another number of stages on each rank.
    #[error("{kind} has {}, not {given}", allowed(.kind.stages_per_rank()))]
    StagesPerRank {
        /// The schedule, which knows how many it can have.
        kind: Kind,
        /// How many were asked for.
        given: usize,
    },
    /// There would be more stages than ids.
    #[error(
        "{num_ranks} ranks with {} each are too many stages for {kind}, the limit is {limit}",
        counted(*.stages_per_rank, "stage", "stages")
    )]
    TooManyStages {
        /// The schedule.
        kind: Kind,
        /// How many ranks were asked for.
        num_ranks: usize,
        /// How many stages on each.
        stages_per_rank: usize,
        /// The most stages in all.
        limit: usize,
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
    /// The microbatches do not make rounds of equal length.
    #[error(
        "{given} microbatches do not make {num_rounds} equal rounds, as many as {kind} has on \
         {num_ranks} ranks; the nearest that do are {}",
        and(.nearest)
    )]
    UnequalRounds {
        /// The schedule.
        kind: Kind,
        /// How many ranks it runs on.
        num_ranks: usize,
        /// How many microbatches were asked for.
        given: usize,
        /// How many rounds there would be: as many as there are with at least one microbatch for
        /// each rank.
        num_rounds: usize,
        /// The next lower number of microbatches that the schedule can have, and the next higher
        /// one if it is not beyond all limits.
        nearest: Vec<usize>,
    },
    /// There would be more microbatches than ids.
    #[error("{num_microbatches} microbatches are too many for {kind}, the limit is {limit}")]
    TooManyMicrobatches {
        /// The schedule.
        kind: Kind,
        /// How many were asked for.
        num_microbatches: usize,
        /// The most.
        limit: usize,
    },
    /// The plan would not fit in memory.
    #[error(
        "a plan of {num_stages} stages and {num_microbatches} microbatches has {num_actions} \
         actions, the limit is {MAX_ACTIONS}"
    )]
    TooLarge {
        /// How many stages were asked for, on all ranks.
        num_stages: usize,
        /// How many microbatches.
        num_microbatches: usize,
        /// How many computations that makes.
        num_actions: usize,
    },
}

/// The largest plan, of half a gibibyte.
const MAX_ACTIONS: usize = 1 << 26;

/// Finds everything about an extent that a kind cannot do.
pub(super) fn check(kind: Kind, extent: &Extent) -> Result<(), GenerateError> {
    let mut problems = ranks_and_stages(kind, extent);
    problems.extend(microbatches(kind, extent));
    if problems.is_empty() {
        problems.extend(size(kind, extent));
    }
    if problems.is_empty() { Ok(()) } else { Err(GenerateError { problems }) }
}

fn ranks_and_stages(kind: Kind, extent: &Extent) -> Vec<ExtentProblem> {
    let &Extent { num_ranks, stages_per_rank, .. } = extent;
    let mut problems = Vec::new();
    if num_ranks == 0 {
        problems.push(ExtentProblem::NoRanks { kind });
    }
    if num_ranks > Rank::LIMIT {
        problems.push(ExtentProblem::TooManyRanks { num_ranks });
    }
    let allows = kind.stages_per_rank().allows(stages_per_rank);
    if !allows {
        problems.push(ExtentProblem::StagesPerRank { kind, given: stages_per_rank });
    }
    let limit = match kind.backward_style() {
        BackwardStyle::Whole | BackwardStyle::Split => Stage::LIMIT,
        BackwardStyle::Overlapped => Overlap::STAGE_LIMIT,
    };
    let num_stages = num_ranks.saturating_mul(stages_per_rank);
    if allows && num_ranks <= Rank::LIMIT && num_stages > limit {
        problems.push(ExtentProblem::TooManyStages { kind, num_ranks, stages_per_rank, limit });
    }
    problems
}

fn microbatches(kind: Kind, extent: &Extent) -> Option<ExtentProblem> {
    let &Extent { num_ranks, num_microbatches: given, .. } = extent;
    let limit = match kind.backward_style() {
        BackwardStyle::Whole | BackwardStyle::Split => MicroBatch::LIMIT,
        BackwardStyle::Overlapped => Overlap::MICROBATCH_LIMIT,
    };
    if given > limit {
        return Some(ExtentProblem::TooManyMicrobatches { kind, num_microbatches: given, limit });
    }
    let required = match kind.microbatches() {
        MicrobatchRule::Any | MicrobatchRule::EqualRounds => 1,
        // The number of stages that it should have, not of those that were asked for.
        MicrobatchRule::AsManyAsStages => {
            num_ranks.saturating_mul(kind.stages_per_rank().fewest()).max(1)
        }
    };
    if given < required {
        return Some(ExtentProblem::TooFewMicrobatches { kind, num_ranks, required, given });
    }
    match kind.microbatches() {
        MicrobatchRule::Any | MicrobatchRule::AsManyAsStages => None,
        MicrobatchRule::EqualRounds => unequal_rounds(kind, num_ranks, given),
    }
}

/// Whether the microbatches do not make equal rounds, and how many would.
fn unequal_rounds(kind: Kind, num_ranks: usize, given: usize) -> Option<ExtentProblem> {
    let is_equal = |num: &usize| num.is_multiple_of(num_rounds(num_ranks, *num));
    if is_equal(&given) {
        return None;
    }
    // Multiples of the number of ranks make equal rounds, so neither search is long.
    let lower = (1..given).rev().find(is_equal);
    let higher = (given + 1..=MicroBatch::LIMIT).find(is_equal);
    let (num_rounds, nearest) = (num_rounds(num_ranks, given), lower.into_iter().chain(higher));
    let nearest = nearest.collect();
    Some(ExtentProblem::UnequalRounds { kind, num_ranks, given, num_rounds, nearest })
}

fn size(kind: Kind, extent: &Extent) -> Option<ExtentProblem> {
    let &Extent { num_ranks, stages_per_rank, num_microbatches } = extent;
    let num_stages = num_ranks * stages_per_rank;
    let per_pair = match kind.backward_style() {
        BackwardStyle::Whole => 2,
        // An overlapped backward is split at most.
        BackwardStyle::Split | BackwardStyle::Overlapped => 3,
    };
    let num_actions = num_stages.saturating_mul(num_microbatches).saturating_mul(per_pair);
    let is_large = num_actions > MAX_ACTIONS;
    is_large.then_some(ExtentProblem::TooLarge { num_stages, num_microbatches, num_actions })
}
