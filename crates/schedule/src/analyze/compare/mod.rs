//! Lays a measured run and a simulated one side by side.

mod ops;
mod text;

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

pub use ops::OpDifference;

use super::Place;
use crate::{Action, Rank, Span, Timeline};

/// How far a simulation is from what was measured. It is printed as a table of its sums.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// How long the measured run takes.
    pub measured_makespan: f64,
    /// How long the simulated one takes.
    pub simulated_makespan: f64,
    /// Which part of all ranks' time nothing is computed, by [`Timeline::idle_rate`] as the next.
    pub measured_idle_rate: f64,
    /// Which part it should be.
    pub simulated_idle_rate: f64,
    /// By operation, the means over the actions that both have, in the order F, R, I, W, B, overlap.
    pub ops: Vec<OpDifference>,
    /// By rank, the actions that both have, in the order of the measured row.
    pub actions: Vec<Vec<Difference>>,
    /// By rank, the sums.
    pub ranks: Vec<RankDifference>,
    /// Actions that only the measured run has.
    pub only_measured: Vec<Place>,
    /// Actions that only the simulated one has.
    pub only_simulated: Vec<Place>,
}

/// One action, measured and simulated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// When it happened.
    pub measured: Span,
    /// When it should have happened.
    pub simulated: Span,
}

impl Difference {
    /// How much later it started than simulated.
    #[must_use]
    pub fn start_error(&self) -> f64 {
        self.measured.start - self.simulated.start
    }

    /// How much longer it took than simulated.
    #[must_use]
    pub fn duration_error(&self) -> f64 {
        self.measured.duration() - self.simulated.duration()
    }
}

/// One rank, measured and simulated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RankDifference {
    /// How long it computed.
    pub measured_work: f64,
    /// How long it should have computed.
    pub simulated_work: f64,
    /// When its last action was over.
    pub measured_end: f64,
    /// When it should have been.
    pub simulated_end: f64,
    /// The mean of the computations' [`start_error`](Difference::start_error), none of them
    /// negative here: a simulation that is early by 1 and late by 1 is wrong by 1.
    pub mean_start_error: f64,
    /// The largest of these.
    pub max_start_error: f64,
    /// The most that it held; none if its spans say nothing of it.
    pub measured_peak: Option<f64>,
    /// The most that it should have held; none if [`Timeline::with_sizes`] has not said it.
    pub simulated_peak: Option<f64>,
}

/// Compares action by action; actions are the same if they are written the same.
///
/// # Examples
/// ```
/// use autopipe_schedule::{Costs, Extent, Kind, compare, generate, simulate_plan};
///
/// let extent = Extent { num_ranks: 2, stages_per_rank: 1, num_microbatches: 2 };
/// let plan = generate(Kind::GPipe, &extent)?;
/// let run = simulate_plan(&plan, &"F=1.5,B=2".parse()?); // as if measured
/// let comparison = compare(&run, &simulate_plan(&plan, &"F=1,B=2".parse()?));
/// assert_eq!((comparison.measured_makespan, comparison.simulated_makespan), (10.5, 9.0));
/// assert_eq!(comparison.actions[1][0].start_error(), 0.5); // 1F0
/// assert_eq!(comparison.actions[1][0].duration_error(), 0.5);
/// assert_eq!(comparison.ranks[0].max_start_error, 1.5); // 0B0 and 0B1
/// assert_eq!(
///     comparison.to_string(),
///     "          measured  predicted   difference
/// makespan      10.5          9       +16.7%
/// F (4)          1.5          1       +50.0%
/// B (4)            2          2        +0.0%
/// idle         33.3%      33.3%  +0.0 points
/// "
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn compare(measured: &Timeline, simulated: &Timeline) -> Comparison {
    let mut comparison = Comparison {
        measured_makespan: measured.makespan(),
        simulated_makespan: simulated.makespan(),
        measured_idle_rate: measured.idle_rate(),
        simulated_idle_rate: simulated.idle_rate(),
        ops: Vec::new(),
        actions: Vec::new(),
        ranks: Vec::new(),
        only_measured: Vec::new(),
        only_simulated: Vec::new(),
    };
    let num_ranks = measured.rows().len().max(simulated.rows().len());
    for rank in (0..num_ranks).map(Rank::new) {
        let (run, model) = (measured.row(rank), simulated.row(rank));
        let differences = match_up(rank, run, model, &mut comparison);
        comparison.ranks.push(sums(run, model, &differences));
        comparison.actions.push(differences);
    }
    comparison.ops = ops::of(comparison.actions.iter().flatten());
    comparison
}

fn match_up(
    rank: Rank,
    run: &[Span],
    model: &[Span],
    comparison: &mut Comparison,
) -> Vec<Difference> {
    // A stage may be unsharded several times: the first here is the first there.
    let mut steps: BTreeMap<Action, VecDeque<usize>> = BTreeMap::new();
    for (step, span) in model.iter().enumerate() {
        steps.entry(span.action).or_default().push_back(step);
    }
    let mut differences = Vec::new();
    for (step, &measured) in run.iter().enumerate() {
        match steps.get_mut(&measured.action).and_then(VecDeque::pop_front) {
            Some(there) => differences.push(Difference { measured, simulated: model[there] }),
            None => comparison.only_measured.push(Place { rank, step }),
        }
    }
    let mut left: Vec<usize> = steps.into_values().flatten().collect();
    left.sort_unstable();
    comparison.only_simulated.extend(left.into_iter().map(|step| Place { rank, step }));
    differences
}

fn sums(run: &[Span], model: &[Span], differences: &[Difference]) -> RankDifference {
    let work = |row: &[Span]| {
        let computes = row.iter().filter(|span| span.action.work().is_some());
        computes.map(Span::duration).sum()
    };
    let end = |row: &[Span]| row.iter().map(|span| span.end).fold(0.0, f64::max);
    let computes = differences.iter().filter(|one| one.measured.action.work().is_some());
    let errors: Vec<f64> = computes.map(|one| one.start_error().abs()).collect();
    let peak = |row: &[Span]| {
        row.iter().filter_map(|span| span.held).map(|held| held.peak).reduce(f64::max)
    };
    let mean = errors.iter().sum::<f64>() / f64::max(1.0, errors.len() as f64);
    RankDifference {
        measured_work: work(run),
        simulated_work: work(model),
        measured_end: end(run),
        simulated_end: end(model),
        mean_start_error: mean,
        max_start_error: errors.into_iter().fold(0.0, f64::max),
        measured_peak: peak(run),
        simulated_peak: peak(model),
    }
}
