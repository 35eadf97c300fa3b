//! What to search a schedule for, and what is wrong with a problem.

use super::instance::{Instance, Step};
use crate::{MicroBatch, Rank, Stage};

/// How many stages a rank has, and where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// Rank `r` has stage `r`.
    One,
    /// Rank `r` of `p` has the stages `r` and `2p - 1 - r`: there and back.
    V,
}

impl Chunks {
    /// The number of stages of a rank.
    #[must_use]
    pub fn per_rank(self) -> usize {
        match self {
            Chunks::One => 1,
            Chunks::V => 2,
        }
    }
}

/// What a stage takes for one microbatch, in any unit of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StageCost {
    /// F, the forward.
    pub forward: f64,
    /// I, the backward for the inputs.
    pub input: f64,
    /// W, the backward for the weights.
    pub weight: f64,
}

/// What the ranks can hold, in bytes or any other unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What a stage keeps of a microbatch from its F to its I: the paper's M_B.
    pub activation: u64,
    /// What it still keeps from I to W: the paper's M_W. At most `activation`.
    pub weight_input: u64,
    /// By rank, the most it may keep at once. A rank needs room for one activation of each of its
    /// stages.
    pub limits: Vec<u64>,
}

/// What to search a schedule for.
///
/// Its fields are free; [`search`](super::search) checks them.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// How many ranks share out the model.
    pub num_ranks: usize,
    /// What each of them has of it.
    pub chunks: Chunks,
    /// How many microbatches the batch is cut into.
    pub num_microbatches: usize,
    /// By stage, what it takes.
    pub costs: Vec<StageCost>,
    /// What tensors need from one rank to the next. The ranks compute meanwhile.
    pub latency: f64,
    /// What fits.
    pub memory: Memory,
    /// How long to search: how many actions may be timed, over all candidates. The first candidate
    /// is always timed. [`EFFORT`](Self::EFFORT) is a good start.
    pub effort: u64,
}

impl Problem {
    /// An effort that takes about a second, and a few for hundreds of thousands of actions.
    pub const EFFORT: u64 = 60_000_000;

    /// The most pairs of stage and microbatch.
    pub const MAX_CELLS: usize = 1 << 23;
}

/// No schedule can be searched for; holds everything that is wrong with the problem.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", joined(.faults))]
pub struct SearchError {
    /// At least one.
    pub faults: Vec<ProblemFault>,
}

fn joined(faults: &[ProblemFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// One reason why no schedule can be searched for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemFault {
    /// A count is 0, or there are fewer ids than that.
    #[error("{given} {what} cannot be scheduled, from 1 to {limit} can")]
    Count {
        /// What is counted.
        what: &'static str,
        /// The count.
        given: usize,
        /// The highest count.
        limit: usize,
    },
    /// The schedule would not fit in memory.
    #[error(
        "{num_stages} stages and {num_microbatches} microbatches are too many pairs, the limit is {}",
        Problem::MAX_CELLS
    )]
    TooLarge {
        /// The number of stages.
        num_stages: usize,
        /// The number of microbatches.
        num_microbatches: usize,
    },
    /// A list has not one entry for each.
    #[error("{given} {what} are given where {needed} are needed")]
    Length {
        /// What the list holds.
        what: &'static str,
        /// Its length.
        given: usize,
        /// The length it should have.
        needed: usize,
    },
    /// A time is none.
    #[error("{what} takes {given}, which is no time from 0 to {MAX_TIME:e}")]
    Time {
        /// The step, as in `stage 3's W`.
        what: String,
        /// Its time.
        given: f64,
    },
    /// More is kept after I than before.
    #[error("{weight_input} is kept from I to W, more than the {activation} from F to I")]
    WeightInput {
        /// What is kept before.
        activation: u64,
        /// What is kept after.
        weight_input: u64,
    },
    /// No limit has room for one microbatch.
    #[error(
        "{num_chunks} activations of {activation} are more than any limit, which goes up to {}; use \
         a larger unit",
        u64::MAX
    )]
    Activation {
        /// What one stage keeps of a microbatch.
        activation: u64,
        /// How many stages a rank has.
        num_chunks: usize,
    },
    /// A rank cannot even hold one microbatch.
    #[error("rank {rank} may keep {limit}, but one microbatch takes {needed}; raise its limit")]
    Limit {
        /// The rank.
        rank: usize,
        /// Its limit.
        limit: u64,
        /// The least that suffices.
        needed: u64,
    },
}

/// Finds all that is wrong with a problem, or gives its numbers.
pub(super) fn check(problem: &Problem) -> Result<Instance, SearchError> {
    let &Problem { num_ranks, chunks, num_microbatches, ref costs, latency, ref memory, .. } =
        problem;
    let num_chunks = chunks.per_rank();
    let num_stages = num_ranks.saturating_mul(num_chunks);
    let mut faults = Vec::new();
    for (what, given, limit) in [
        ("ranks", num_ranks, Rank::LIMIT.min(Stage::LIMIT / num_chunks)),
        ("microbatches", num_microbatches, MicroBatch::LIMIT),
    ] {
        if !(1..=limit).contains(&given) {
            faults.push(ProblemFault::Count { what, given, limit });
        }
    }
    if num_stages.saturating_mul(num_microbatches) > Problem::MAX_CELLS {
        faults.push(ProblemFault::TooLarge { num_stages, num_microbatches });
    }
    for (what, given, needed) in [
        ("costs of stages", costs.len(), num_stages),
        ("memory limits of ranks", memory.limits.len(), num_ranks),
    ] {
        if given != needed {
            faults.push(ProblemFault::Length { what, given, needed });
        }
    }
    check_times(costs, latency, &mut faults);
    check_memory(memory, num_chunks, &mut faults);
    if !faults.is_empty() {
        return Err(SearchError { faults });
    }
    let durations = |rank: usize| {
        let mut durations = [0.0; Step::NUM];
        for chunk in 0..num_chunks {
            let cost = costs[if chunk == 0 { rank } else { num_stages - 1 - rank }];
            // Adding 0 makes -0 an ordinary 0, whose bits are in order with those of other times.
            durations[chunk] = cost.forward + 0.0;
            durations[2 + chunk] = cost.input + 0.0;
            durations[4 + chunk] = cost.weight + 0.0;
        }
        durations
    };
    Ok(Instance {
        num_ranks,
        num_chunks,
        num_microbatches,
        durations: (0..num_ranks).map(durations).collect(),
        latency: latency + 0.0,
        activation: memory.activation,
        weight_input: memory.weight_input,
        limits: memory.limits.clone(),
    })
}

/// So long that sums of them stay finite, whatever is added up.
const MAX_TIME: f64 = 1e200;

fn check_times(costs: &[StageCost], latency: f64, faults: &mut Vec<ProblemFault>) {
    let is_time = |time: f64| (0.0..=MAX_TIME).contains(&time);
    for (stage, cost) in costs.iter().enumerate() {
        for (step, given) in [("F", cost.forward), ("I", cost.input), ("W", cost.weight)] {
            if !is_time(given) {
                faults.push(ProblemFault::Time { what: format!("stage {stage}'s {step}"), given });
            }
        }
    }
    if !is_time(latency) {
        faults.push(ProblemFault::Time { what: "a message".to_owned(), given: latency });
    }
}

fn check_memory(memory: &Memory, num_chunks: usize, faults: &mut Vec<ProblemFault>) {
    let &Memory { activation, weight_input, ref limits } = memory;
    if weight_input > activation {
        faults.push(ProblemFault::WeightInput { activation, weight_input });
    }
    let Some(needed) = u64::try_from(num_chunks).ok().and_then(|num| activation.checked_mul(num))
    else {
        faults.push(ProblemFault::Activation { activation, num_chunks });
        return;
    };
    for (rank, &limit) in limits.iter().enumerate() {
        if limit < needed {
            faults.push(ProblemFault::Limit { rank, limit, needed });
        }
    }
}
