//! Runs a plan against the clock, without writing down what it sends.

use super::moments::Moments;
use super::{Costs, Span, Timeline};
use crate::{Compute, ComputeOp, Direction, Plan, Rank, Stage, Transfer, Work};

/// Runs a plan against the clock: what [`simulate`](crate::simulate()) says of the program that
/// [`lower`](crate::lower()) makes of it, but for the spans of sends and receives.
///
/// Communication is asynchronous, whatever the costs say: a plan has no order of messages. It takes
/// one pass, for plans of many millions of actions.
///
/// # Examples
/// ```
/// use autopipe_schedule::{Costs, Extent, Kind, generate, simulate_plan};
///
/// let extent = Extent { num_ranks: 4, stages_per_rank: 1, num_microbatches: 8 };
/// let timeline = simulate_plan(&generate(Kind::OneFOneB, &extent)?, &Costs::UNIT);
/// assert_eq!(timeline.makespan(), 33.0); // (8 + 4 - 1) * 3
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn simulate_plan(plan: &Plan, costs: &Costs) -> Timeline {
    let progress =
        |row: &Vec<Work>| Progress { now: 0.0, waits: None, spans: Vec::with_capacity(row.len()) };
    let num_microbatches = plan.num_microbatches();
    let num_cells = plan.num_stages() * num_microbatches;
    let mut clock = Clock {
        num_microbatches,
        num_cells,
        stages: (0..plan.num_stages()).map(|s| StageInfo::new(plan, costs, s)).collect(),
        arrivals: Moments::new(2 * num_cells),
        ranks: plan.rows().iter().map(progress).collect(),
        ready: (0..plan.num_ranks()).rev().collect(),
        is_uniform: costs.are_by_stage(),
        costs,
    };
    while let Some(rank) = clock.ready.pop() {
        clock.go_on(rank, &plan.rows()[rank]);
    }
    let is_done = |(rank, row): (&Progress, &Vec<Work>)| rank.spans.len() == row.len();
    debug_assert!(
        clock.ranks.iter().zip(plan.rows()).all(is_done),
        "proved: every rank comes to its end"
    );
    Timeline::new(clock.ranks.into_iter().map(|rank| rank.spans).collect())
}

/// What lies between a stage and the one that takes its tensors.
#[derive(Clone, Copy)]
enum Hop {
    /// Nothing: they are on one rank, or there is no such stage.
    None,
    /// A message.
    Message { to: Rank, time: f64 },
}

/// What is asked again and again about a stage, in one place.
struct StageInfo {
    /// By operation.
    times: [f64; 5],
    /// The ways to the next stage and to the one before, by direction.
    hops: [Hop; 2],
}

impl StageInfo {
    fn new(plan: &Plan, costs: &Costs, stage: usize) -> Self {
        let placement = plan.placement();
        let stage = Stage::new(stage);
        let hop = |direction: Direction| match placement.receiver_of(direction, stage) {
            Some((to, rank)) if rank != placement.rank_of(stage) => {
                Hop::Message { to: rank, time: costs.message(stage.min(to)) }
            }
            Some(_) | None => Hop::None,
        };
        let mut times = [0.0; 5];
        for op in OPS {
            times[number(op)] = costs.stage(stage).time(op);
        }
        Self { times, hops: [Direction::Forward, Direction::Backward].map(hop) }
    }
}

const OPS: [ComputeOp; 5] = [
    ComputeOp::Forward,
    ComputeOp::BackwardInput,
    ComputeOp::BackwardWeight,
    ComputeOp::Backward,
    ComputeOp::Recompute,
];

fn number(op: ComputeOp) -> usize {
    match op {
        ComputeOp::Forward => 0,
        ComputeOp::BackwardInput => 1,
        ComputeOp::BackwardWeight => 2,
        ComputeOp::Backward => 3,
        ComputeOp::Recompute => 4,
    }
}

/// One rank on its way through its row.
struct Progress {
    now: f64,
    /// The message that it stands still for.
    waits: Option<usize>,
    spans: Vec<Span>,
}

struct Clock<'a> {
    num_microbatches: usize,
    num_cells: usize,
    stages: Vec<StageInfo>,
    /// By direction and cell of the receiver, when a message has arrived.
    arrivals: Moments,
    ranks: Vec<Progress>,
    ready: Vec<usize>,
    /// Whether a stage's times are those of all its microbatches.
    is_uniform: bool,
    costs: &'a Costs,
}

impl Clock<'_> {
    /// Computes as far as a rank's tensors are there.
    fn go_on(&mut self, rank: usize, row: &[Work]) {
        let mut now = self.ranks[rank].now;
        for &work in &row[self.ranks[rank].spans.len()..] {
            let inputs = match work {
                Work::Compute(compute) => self.input(compute),
                Work::Overlap(overlap) => self
                    .input(overlap.forward())
                    .and_then(|forward| Ok(forward.max(self.input(overlap.backward())?))),
            };
            let start = match inputs {
                Ok(inputs) => inputs.max(now),
                Err(message) => {
                    self.ranks[rank].waits = Some(message);
                    break;
                }
            };
            now = start + self.time(work);
            self.ranks[rank].spans.push(Span::new(work.into(), start, now));
            match work {
                Work::Compute(compute) => self.send(compute, now),
                Work::Overlap(overlap) => {
                    self.send(overlap.forward(), now);
                    self.send(overlap.backward(), now);
                }
            }
        }
        self.ranks[rank].now = now;
    }

    fn time(&self, work: Work) -> f64 {
        match work {
            Work::Compute(Compute { op, stage, .. }) if self.is_uniform => {
                self.stages[stage.index()].times[number(op)]
            }
            Work::Compute(_) | Work::Overlap(_) => self.costs.of(work.into()),
        }
    }

    /// When a computation's tensors are there; otherwise, the message that brings them.
    fn input(&self, compute: Compute) -> Result<f64, usize> {
        let Compute { op, stage, microbatch } = compute;
        // The way in from one side begins where the way out to that side ends.
        let (direction, back) = match op.direction() {
            None => return Ok(0.0),
            Some(Direction::Forward) => (Direction::Forward, Direction::Backward),
            Some(Direction::Backward) => (Direction::Backward, Direction::Forward),
        };
        match self.stages[stage.index()].hops[back.index()] {
            Hop::None => Ok(0.0),
            Hop::Message { .. } => {
                let cell = stage.index() * self.num_microbatches + microbatch.index();
                let message = direction.index() * self.num_cells + cell;
                self.arrivals.get(message).ok_or(message)
            }
        }
    }

    /// Sends what a computation has made to where it is needed.
    fn send(&mut self, compute: Compute, end: f64) {
        let Compute { op, stage, microbatch } = compute;
        let Some(direction) = op.direction() else { return };
        let hop = self.stages[stage.index()].hops[direction.index()];
        let Hop::Message { to, time } = hop else { return };
        let time = match direction.receiver_of(stage) {
            Some(stage) if !self.is_uniform => {
                self.costs.received(Transfer { direction, stage, microbatch })
            }
            Some(_) | None => time,
        };
        let cell = stage.index() * self.num_microbatches + microbatch.index();
        let message = match direction {
            Direction::Forward => cell + self.num_microbatches,
            Direction::Backward => self.num_cells + cell - self.num_microbatches,
        };
        self.arrivals.set(message, end + time);
        let there = &mut self.ranks[to.index()];
        if there.waits == Some(message) {
            there.waits = None;
            self.ready.push(to.index());
        }
    }
}
