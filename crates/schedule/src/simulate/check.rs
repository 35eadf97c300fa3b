//! Checks a timeline that somebody has measured or written.

use super::timeline::computes;
use super::{Held, Span};
use crate::listing::lines;
use crate::{Action, ComputeOp, MicroBatch, Rank, Stage};

/// A timeline that cannot have happened; holds everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", listed(.problems))]
pub struct TimelineError {
    /// At least one.
    pub problems: Vec<TimelineProblem>,
}

fn listed(problems: &[TimelineProblem]) -> String {
    match problems {
        [only] => only.to_string(),
        _ => lines(&format!("the timeline has {} faults", problems.len()), problems),
    }
}

/// One thing that is wrong with a timeline.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TimelineProblem {
    /// A time that no clock shows.
    #[error(
        "rank {rank}, step {step}, {action}: its time {time:e} is not a number from 0 to {MAX_TIME:e}"
    )]
    NotATime {
        /// The rank.
        rank: Rank,
        /// The index in its row.
        step: usize,
        /// What happened.
        action: Action,
        /// The time.
        time: f64,
    },
    /// An action that ends before it starts.
    #[error(
        "rank {rank}, step {step}, {}: ends at {}, before its start at {}",
        .span.action, .span.end, .span.start
    )]
    EndsBeforeStart {
        /// The rank.
        rank: Rank,
        /// The index in its row.
        step: usize,
        /// What happened.
        span: Span,
    },
    /// A size that no memory has.
    #[error(
        "rank {rank}, step {step}, {action}: its size {size:e} is not a number from 0 to {MAX_SIZE:e}"
    )]
    NotASize {
        /// The rank.
        rank: Rank,
        /// The index in its row.
        step: usize,
        /// What happened.
        action: Action,
        /// The size.
        size: f64,
    },
    /// A peak below what it is the peak of.
    #[error(
        "rank {rank}, step {step}, {action}: holds {} in the end, more than its peak of {}",
        .held.end, .held.peak
    )]
    PeakBelowHeld {
        /// The rank.
        rank: Rank,
        /// The index in its row.
        step: usize,
        /// What happened.
        action: Action,
        /// What was held.
        held: Held,
    },
    /// A message of an action that has none.
    #[error(
        "rank {rank}, step {step}, {action}: has moved {moved}, but only sends and receives move anything; leave it out"
    )]
    NothingMoves {
        /// The rank.
        rank: Rank,
        /// The index in its row.
        step: usize,
        /// What happened.
        action: Action,
        /// The size of the message.
        moved: f64,
    },
    /// A computation that starts before the one in front of it is over.
    #[error(
        "rank {rank}, {}: starts at {}, before {} is over at {}; a rank computes one after the other",
        .span.action, .span.start, .before.action, .before.end
    )]
    TwoAtOnce {
        /// The rank.
        rank: Rank,
        /// The later computation of the row.
        span: Span,
        /// The one before it.
        before: Span,
    },
    /// An action that happened more than once.
    #[error("{action} happened {times} times; a timeline is of one step")]
    Repeated {
        /// Which.
        action: Action,
        /// How often.
        times: usize,
    },
    /// Forwards are missing, of the stages and microbatches that are named.
    #[error(
        "{num_forwards} of the {} forwards of {num_stages} stages and {num_microbatches} \
         microbatches are there; a timeline is of a whole step",
        .num_stages * .num_microbatches
    )]
    Incomplete {
        /// How many forwards there are.
        num_forwards: usize,
        /// One more than the last stage that is named.
        num_stages: usize,
        /// One more than the last microbatch that is named.
        num_microbatches: usize,
    },
    /// More rows than there can be ranks.
    #[error("{num_ranks} ranks are too many, the limit is {}", Rank::LIMIT)]
    TooManyRanks {
        /// How many rows there are.
        num_ranks: usize,
    },
}

/// Checks rows; what holds afterwards bounds the memory that an analysis needs.
pub(super) fn check(rows: &[Vec<Span>]) -> Result<(), TimelineError> {
    let num_ranks = rows.len();
    if num_ranks > Rank::LIMIT {
        return Err(TimelineError { problems: vec![TimelineProblem::TooManyRanks { num_ranks }] });
    }
    let mut problems = Vec::new();
    for (rank, row) in rows.iter().enumerate() {
        check_times(Rank::new(rank), row, &mut problems);
        check_sizes(Rank::new(rank), row, &mut problems);
    }
    check_once(rows, &mut problems);
    check_forwards(rows, &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(TimelineError { problems }) }
}

/// Times up to here, measured and then simulated, add up to finite ones.
const MAX_TIME: f64 = 1e290;

/// Sizes up to here are such as costs can be.
const MAX_SIZE: f64 = 1e60;

/// What a number may lose, as a part of it, when it is written and read.
const ROUNDING: f64 = 1e-9;

fn check_times(rank: Rank, row: &[Span], problems: &mut Vec<TimelineProblem>) {
    for (step, &span) in row.iter().enumerate() {
        let Span { action, start, end, .. } = span;
        let is_time = |time: &f64| (0.0..=MAX_TIME).contains(time);
        match [start, end].into_iter().find(|time| !is_time(time)) {
            Some(time) => problems.push(TimelineProblem::NotATime { rank, step, action, time }),
            None if end < start - ROUNDING * start => {
                problems.push(TimelineProblem::EndsBeforeStart { rank, step, span });
            }
            None => {}
        }
    }
    let spans = || computes(row).map(|(_, &span)| span);
    let pairs = spans().zip(spans().skip(1));
    problems.extend(
        pairs
            .filter(|(before, span)| span.start < before.end - ROUNDING * before.end)
            .map(|(before, span)| TimelineProblem::TwoAtOnce { rank, span, before }),
    );
}

fn check_sizes(rank: Rank, row: &[Span], problems: &mut Vec<TimelineProblem>) {
    for (step, &Span { action, moved, held, .. }) in row.iter().enumerate() {
        let is_size = |size: &f64| (0.0..=MAX_SIZE).contains(size);
        let sizes = [moved, held.map(|held| held.end), held.map(|held| held.peak)];
        if let Some(size) = sizes.into_iter().flatten().find(|size| !is_size(size)) {
            problems.push(TimelineProblem::NotASize { rank, step, action, size });
            continue;
        }
        let is_message = matches!(action, Action::Send(_) | Action::Recv(_));
        if let Some(moved) = moved.filter(|_| !is_message) {
            problems.push(TimelineProblem::NothingMoves { rank, step, action, moved });
        }
        if let Some(held) = held.filter(|held| held.peak < held.end - ROUNDING * held.end) {
            problems.push(TimelineProblem::PeakBelowHeld { rank, step, action, held });
        }
    }
}

fn check_once(rows: &[Vec<Span>], problems: &mut Vec<TimelineProblem>) {
    // The halves of an overlap count for themselves. A stage may be unsharded again.
    let is_single = |action: &Action| !matches!(action, Action::Unshard(_) | Action::Reshard(_));
    let parts = |span: &Span| {
        let single = span.action.work().is_none().then_some(span.action);
        span.action.computes().map(Action::Compute).chain(single)
    };
    let mut actions: Vec<Action> =
        rows.iter().flatten().flat_map(parts).filter(is_single).collect();
    actions.sort_unstable();
    for same in actions.chunk_by(|a, b| a == b).filter(|same| same.len() > 1) {
        problems.push(TimelineProblem::Repeated { action: same[0], times: same.len() });
    }
}

fn check_forwards(rows: &[Vec<Span>], problems: &mut Vec<TimelineProblem>) {
    let (mut num_stages, mut num_microbatches, mut num_forwards) = (0, 0, 0);
    let mut name = |stage: Option<Stage>, microbatch: Option<MicroBatch>| {
        num_stages = num_stages.max(stage.map_or(0, |stage| stage.index() + 1));
        num_microbatches = num_microbatches.max(microbatch.map_or(0, |m| m.index() + 1));
    };
    for span in rows.iter().flatten() {
        name(span.action.stage(), span.action.microbatch());
        for part in span.action.computes() {
            name(Some(part.stage), Some(part.microbatch));
            num_forwards += usize::from(part.op == ComputeOp::Forward);
        }
    }
    // Whoever names a stage names a microbatch of it.
    let num_microbatches = num_microbatches.max(1);
    if num_forwards != num_stages * num_microbatches {
        problems.push(TimelineProblem::Incomplete { num_forwards, num_stages, num_microbatches });
    }
}
