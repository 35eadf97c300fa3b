//! Runs a plan against the clock, without writing down what it sends.

use super::moments::{Cells, Moments};
use super::{Costs, Span, Timeline};
use crate::{Compute, Direction, Plan, Rank, Stage, Work};

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
    let cells = Cells { num_stages: plan.num_stages(), num_microbatches: plan.num_microbatches() };
    let spans = plan.rows().iter().map(|row| Vec::with_capacity(row.len())).collect();
    let mut clock = Clock {
        cells,
        hops: hops(plan, costs),
        arrivals: [Moments::new(cells.len()), Moments::new(cells.len())],
        waits: vec![None; plan.num_ranks()],
        spans,
        ready: (0..plan.num_ranks()).rev().collect(),
    };
    let mut now = vec![0.0; plan.num_ranks()];
    while let Some(rank) = clock.ready.pop() {
        let row = &plan.rows()[rank];
        let done = clock.spans[rank].len();
        for &work in &row[done..] {
            let Some(inputs) = clock.inputs(rank, work) else { break };
            let start = inputs.max(now[rank]);
            let end = start + costs.of_work(work);
            now[rank] = end;
            clock.spans[rank].push(Span { action: work.into(), start, end });
            clock.hand_over(work, end);
        }
    }
    debug_assert!(clock.waits.iter().all(Option::is_none), "proved: every rank comes to its end");
    Timeline::new(clock.spans)
}

/// What lies between a stage and the one that takes its tensors.
#[derive(Clone, Copy)]
enum Hop {
    /// Nothing: they are on one rank.
    Near,
    /// A message.
    Far { to: Rank, time: f64 },
    /// There is no such stage.
    End,
}

/// By stage, the ways to the next and to the one before.
fn hops(plan: &Plan, costs: &Costs) -> Vec<[Hop; 2]> {
    let placement = plan.placement();
    let hop = |from: Stage, direction: Direction| match direction.receiver_of(from) {
        Some(to) if to.index() < plan.num_stages() => {
            let rank = placement.rank_of(to);
            let time = costs.message(from.min(to));
            if rank == placement.rank_of(from) { Hop::Near } else { Hop::Far { to: rank, time } }
        }
        Some(_) | None => Hop::End,
    };
    let stages = (0..plan.num_stages()).map(Stage::new);
    stages.map(|stage| [Direction::Forward, Direction::Backward].map(|d| hop(stage, d))).collect()
}

/// One message: the direction and the cell of its receiver.
type Key = (Direction, usize);

struct Clock {
    cells: Cells,
    hops: Vec<[Hop; 2]>,
    /// By direction and cell, when the tensors of a far stage are there.
    arrivals: [Moments; 2],
    /// By rank, what it stands still for.
    waits: Vec<Option<Key>>,
    spans: Vec<Vec<Span>>,
    ready: Vec<usize>,
}

impl Clock {
    /// When all is there that a computation takes from other ranks; if it is not, the rank waits.
    fn inputs(&mut self, rank: usize, work: Work) -> Option<f64> {
        match work {
            Work::Compute(compute) => self.input(rank, compute),
            Work::Overlap(overlap) => {
                let forward = self.input(rank, overlap.forward())?;
                Some(forward.max(self.input(rank, overlap.backward())?))
            }
        }
    }

    fn input(&mut self, rank: usize, compute: Compute) -> Option<f64> {
        let Compute { op, stage, microbatch } = compute;
        let Some(direction) = op.direction() else { return Some(0.0) };
        // The way in from one side ends where the way out to that side begins.
        let back = match direction {
            Direction::Forward => Direction::Backward,
            Direction::Backward => Direction::Forward,
        };
        match self.hops[stage.index()][back.index()] {
            Hop::Near | Hop::End => Some(0.0),
            Hop::Far { .. } => {
                let cell = self.cells.of(stage, microbatch);
                let arrival = self.arrivals[direction.index()].get(cell);
                if arrival.is_none() {
                    self.waits[rank] = Some((direction, cell));
                }
                arrival
            }
        }
    }

    /// Sends what a computation has made to where it is needed.
    fn hand_over(&mut self, work: Work, end: f64) {
        match work {
            Work::Compute(compute) => self.send(compute, end),
            Work::Overlap(overlap) => {
                self.send(overlap.forward(), end);
                self.send(overlap.backward(), end);
            }
        }
    }

    fn send(&mut self, compute: Compute, end: f64) {
        let Some(direction) = compute.op.direction() else { return };
        let stage = compute.stage.index();
        let Hop::Far { to, time } = self.hops[stage][direction.index()] else { return };
        let cell = self.cells.of(compute.stage, compute.microbatch);
        let cell = match direction {
            Direction::Forward => cell + self.cells.num_microbatches,
            Direction::Backward => cell - self.cells.num_microbatches,
        };
        self.arrivals[direction.index()].set(cell, end + time);
        let wait = &mut self.waits[to.index()];
        if *wait == Some((direction, cell)) {
            *wait = None;
            self.ready.push(to.index());
        }
    }
}
