//! Searches a schedule for given costs and memory, and says how good one could be at best.
//!
//! A candidate is a row of F and I for every rank; the W go where the rank would wait anyway. Some
//! hundred candidates are made by rules: the 1F1B order with more or fewer first forwards, building
//! blocks of a V, and list scheduling with different preferences. They are timed on a shorter batch
//! if the real one is long, the best of them on the real one, and the best of those is improved by
//! moving single steps. All of it is deterministic.
//!
//! The papers' schedules that it has to match: ZB-1p and ZB-2p of Zero Bubble Pipeline Parallelism
//! (arXiv 2401.10241), V-Min, V-Half and V-ZB of Pipeline Parallelism with Controllable Memory
//! (arXiv 2405.15362).

mod block;
mod bound;
mod fill;
mod improve;
mod instance;
mod list;
mod problem;
mod recipe;
#[cfg(test)]
mod tests;

pub use problem::{Chunks, Memory, Problem, ProblemFault, SearchError, StageCost};

use self::fill::{Filled, Patience};
use self::instance::{Instance, Step};
use crate::{Compute, ComputeOp, MicroBatch, Plan, Stage, Work};

/// The best schedule that was found, with its figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The schedule, its backwards split in I and W.
    pub plan: Plan,
    /// The longest time from a rank's first start to its last end, as the papers count.
    pub cost: f64,
    /// The time from the first start to the last end of all.
    pub makespan: f64,
    /// Which part of the cost even the busiest rank waits: (cost - m T) / cost for equal stages.
    pub bubble_rate: f64,
    /// No schedule within the memory costs less. Few reach it.
    pub lower_bound: f64,
    /// By rank, the most memory in use, in the unit of the limits.
    pub peaks: Vec<u64>,
    /// Whether the cost is the lower bound, up to rounding. If not, the schedule may still be the
    /// best there is.
    pub is_optimal: bool,
}

/// Finds a schedule for a problem.
///
/// # Errors
/// Everything that is wrong with the problem. If nothing is, there is a schedule, since one
/// microbatch fits.
///
/// # Examples
/// At the memory of 1F1B the best bubble is a third of 1F1B's, and with twice that there is none:
/// ```
/// use autopipe_schedule::search::{Chunks, Memory, Problem, StageCost, search};
///
/// let mut problem = Problem {
///     num_ranks: 4,
///     chunks: Chunks::One,
///     num_microbatches: 8,
///     costs: vec![StageCost { forward: 1.0, input: 1.0, weight: 1.0 }; 4],
///     latency: 0.0,
///     memory: Memory { activation: 2, weight_input: 1, limits: vec![2 * 4; 4] },
///     effort: Problem::EFFORT,
/// };
/// let found = search(&problem)?;
/// assert_eq!((found.cost, found.is_optimal), (8.0 * 3.0 + 3.0, true));
///
/// problem.memory.limits = vec![2 * 8; 4];
/// assert_eq!(search(&problem)?.cost, 8.0 * 3.0);
/// # Ok::<(), autopipe_schedule::search::SearchError>(())
/// ```
pub fn search(problem: &Problem) -> Result<Found, SearchError> {
    let instance = problem::check(problem)?;
    let lower_bound = bound::lower_bound(&instance);
    let mut search = Search { effort: problem.effort, goal: goal(lower_bound) };
    let (sketch, mut best) = search.best_recipe(&instance);
    search.improve(&instance, sketch, &mut best);
    Ok(found(&instance, &best, lower_bound))
}

/// A cost at most this is the lower bound but for rounding.
fn goal(lower_bound: f64) -> f64 {
    lower_bound * (1.0 + 1e-9)
}

/// What becomes complete rows: rows of F and I, and how to place W.
#[derive(Clone, Debug)]
struct Sketch {
    rows: Vec<Vec<Step>>,
    patience: Vec<Patience>,
}

/// What is left to do.
struct Search {
    /// Actions that may still be timed.
    effort: u64,
    /// A cost at which to stop.
    goal: f64,
}

impl Search {
    /// Pays for timing a candidate; refuses when the effort is spent.
    fn pay(&mut self, instance: &Instance) -> bool {
        let cells = instance.num_stages() * instance.num_microbatches;
        let price = u64::try_from(3 * cells).unwrap_or(u64::MAX);
        let is_left = self.effort >= price;
        self.effort = self.effort.saturating_sub(price);
        is_left
    }
}

/// The figures of complete rows.
fn found(instance: &Instance, best: &Filled, lower_bound: f64) -> Found {
    let cost = best.cost();
    debug_assert!(lower_bound <= cost * (1.0 + 1e-9), "the bound is one: {lower_bound}, {cost}");
    let work = (0..instance.num_ranks).map(|rank| instance.work(rank)).fold(0.0, f64::max);
    Found {
        plan: plan(instance, &best.rows),
        cost,
        makespan: best.makespan,
        bubble_rate: if cost > 0.0 { (cost - work) / cost } else { 0.0 },
        lower_bound: lower_bound.min(cost),
        peaks: (0..instance.num_ranks).map(|rank| peak(instance, &best.rows[rank], rank)).collect(),
        is_optimal: cost <= goal(lower_bound),
    }
}

/// The most memory that a row has in use.
fn peak(instance: &Instance, row: &[Step], rank: usize) -> u64 {
    let (mut memory, mut peak) = (0, 0);
    for step in row {
        match step {
            Step::F0 | Step::F1 => memory += instance.activation,
            Step::I0 | Step::I1 => memory -= instance.activation - instance.weight_input,
            Step::W0 | Step::W1 => memory -= instance.weight_input,
        }
        peak = peak.max(memory);
    }
    debug_assert!(peak <= instance.limits[rank], "filled within the limit");
    peak
}

/// The rows with their stages and microbatches.
fn plan(instance: &Instance, rows: &[Vec<Step>]) -> Plan {
    let row = |(rank, steps): (usize, &Vec<Step>)| -> Vec<Work> {
        let mut counts = [0; Step::NUM];
        let compute = |step: &Step| {
            let microbatch = MicroBatch::new(counts[step.index()]);
            counts[step.index()] += 1;
            let op = match step {
                Step::F0 | Step::F1 => ComputeOp::Forward,
                Step::I0 | Step::I1 => ComputeOp::BackwardInput,
                Step::W0 | Step::W1 => ComputeOp::BackwardWeight,
            };
            let stage = Stage::new(instance.stage(rank, step.chunk()));
            Work::from(Compute { op, stage, microbatch })
        };
        steps.iter().map(compute).collect()
    };
    Plan::from_rows(rows.iter().enumerate().map(row).collect())
        .expect("timed rows are complete and fit together")
}
