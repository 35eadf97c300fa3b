//! Why a plan cannot be lowered as asked.

use super::{Lookahead, Lowering, WaitSends};
use crate::listing::{and, lines};
use crate::{Action, Overlap, Plan, Rank, Stage, Transfer, Work};

/// A plan cannot be lowered as asked; holds everything that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines("the plan cannot be lowered so", .problems))]
pub struct LowerError {
    /// At least one.
    pub problems: Vec<LowerProblem>,
}

/// One reason why a plan cannot be lowered as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LowerProblem {
    /// Nothing could be computed.
    #[error("max_active_stages is 0, the fewest is 1")]
    NoActiveStage,
    /// Two stages compute together and cannot both be gathered.
    #[error(
        "rank {rank} computes {overlap} at step {step}, for which 2 stages have to be gathered, \
         but max_active_stages is 1; set it to 2"
    )]
    OverlapTooLarge {
        /// Whose row it is.
        rank: Rank,
        /// Where in the plan's row, from 0; the first such place.
        step: usize,
        /// What cannot be computed.
        overlap: Overlap,
    },
    /// The list of lookaheads is for another number of ranks.
    #[error(
        "the lookahead has values for {given} ranks, the plan has {num_ranks}; give one a rank"
    )]
    LookaheadLength {
        /// How many values there are.
        given: usize,
        /// How many ranks the plan has.
        num_ranks: usize,
    },
    /// A lookahead does not fit.
    #[error(
        "the lookahead of rank {rank} is {lookahead}, it can be from 1 to max_active_stages, which \
         is {max_active_stages}"
    )]
    LookaheadRange {
        /// Whose.
        rank: Rank,
        /// What was asked for.
        lookahead: usize,
        /// The largest possible.
        max_active_stages: usize,
    },
    /// A tie group ties nothing.
    #[error(
        "tie group {group} has {given} of the 2 or more stages that share a parameter; name the others or leave it out"
    )]
    SmallTieGroup {
        /// Its number.
        group: usize,
        /// How many stages it has.
        given: usize,
    },
    /// A tie group names a stage that the plan lacks.
    #[error("tie group {group} has stage {stage}, the plan has the stages 0 to {}", num_stages - 1)]
    TiedStage {
        /// The group's number.
        group: usize,
        /// What it names.
        stage: Stage,
        /// How many stages the plan has.
        num_stages: usize,
    },
    /// A tie group names a stage twice.
    #[error("tie group {group} has stage {stage} twice, name it once")]
    TiedTwice {
        /// The group's number.
        group: usize,
        /// What it names twice.
        stage: Stage,
    },
    /// There are more tie groups than numbers for them.
    #[error("{given} tie groups are too many, the limit is 65536")]
    TooManyTieGroups {
        /// How many there are.
        given: usize,
    },
    /// Nothing could be sent.
    #[error("no send may be under way, the fewest that may is 1")]
    NoSends,
    /// Waiting for any of the sends under way would hold up the program for good.
    #[error(
        "rank {rank} cannot keep to {limit} under way with {}: what is under way before, {}, is \
         received only after it; allow more or change the plan",
        Action::Send(*.send), and(.outstanding.iter().map(|&send| Action::Send(send)))
    )]
    SendBudget {
        /// Who sends.
        rank: Rank,
        /// How many sends may be under way.
        limit: usize,
        /// The send that would be one too many.
        send: Transfer,
        /// Those that are under way.
        outstanding: Vec<Transfer>,
    },
}

/// Checks what can be known before the work is done.
pub(super) fn check(plan: &Plan, lowering: &Lowering) -> Result<(), LowerError> {
    let mut problems = Vec::new();
    check_sharding(plan, lowering, &mut problems);
    check_ties(plan, &lowering.tied, &mut problems);
    if lowering.wait_sends == WaitSends::AtMost(0) {
        problems.push(LowerProblem::NoSends);
    }
    if problems.is_empty() { Ok(()) } else { Err(LowerError { problems }) }
}

fn check_sharding(plan: &Plan, lowering: &Lowering, problems: &mut Vec<LowerProblem>) {
    let Some(sharding) = &lowering.sharding else { return };
    let max_active_stages = sharding.max_active_stages;
    if max_active_stages == 0 {
        problems.push(LowerProblem::NoActiveStage);
    }
    if max_active_stages == 1 {
        let two_stages = |overlap: Overlap| overlap.forward().stage != overlap.backward().stage;
        for (rank, row) in plan.rows().iter().enumerate() {
            let found = row.iter().enumerate().find_map(|(step, &work)| match work {
                Work::Overlap(overlap) => two_stages(overlap).then_some((step, overlap)),
                Work::Compute(_) => None,
            });
            if let Some((step, overlap)) = found {
                let rank = Rank::new(rank);
                problems.push(LowerProblem::OverlapTooLarge { rank, step, overlap });
            }
        }
    }
    let Lookahead::PerRank(given) = &sharding.lookahead else { return };
    if given.len() != plan.num_ranks() {
        let (given, num_ranks) = (given.len(), plan.num_ranks());
        problems.push(LowerProblem::LookaheadLength { given, num_ranks });
        return;
    }
    for (rank, &lookahead) in given.iter().enumerate() {
        // Without any stage there is no range to speak of.
        if max_active_stages > 0 && !(1..=max_active_stages).contains(&lookahead) {
            let rank = Rank::new(rank);
            problems.push(LowerProblem::LookaheadRange { rank, lookahead, max_active_stages });
        }
    }
}

fn check_ties(plan: &Plan, tied: &[Vec<Stage>], problems: &mut Vec<LowerProblem>) {
    if u16::try_from(tied.len().saturating_sub(1)).is_err() {
        problems.push(LowerProblem::TooManyTieGroups { given: tied.len() });
    }
    let num_stages = plan.num_stages();
    for (group, stages) in tied.iter().enumerate() {
        if stages.len() < 2 {
            problems.push(LowerProblem::SmallTieGroup { group, given: stages.len() });
        }
        let mut sorted = stages.clone();
        sorted.sort_unstable();
        for pair in sorted.windows(2).filter(|pair| pair[0] == pair[1]) {
            problems.push(LowerProblem::TiedTwice { group, stage: pair[0] });
        }
        sorted.dedup();
        for stage in sorted.into_iter().filter(|stage| stage.index() >= num_stages) {
            problems.push(LowerProblem::TiedStage { group, stage, num_stages });
        }
    }
}
