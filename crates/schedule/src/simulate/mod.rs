//! Says when everything of a program would happen, given what things cost.

mod cost;
#[cfg(test)]
mod tests;
mod timeline;

pub use cost::{Cost, CostError};
pub use timeline::{Span, Timeline};

use crate::walk::{Visit, walk};
use crate::{Action, Compute, Direction, Rank, Transfer, ValidProgram, Work};

/// Runs a program against the clock.
///
/// Ranks compute at the same time, each its own row in order. Sending and receiving take none of
/// their time: a message arrives the latency after it is sent, a receive is only posted, and the
/// computation that uses the tensors starts when they are there and the rank is free.
///
/// # Examples
/// ```
/// use autopipe_schedule::{Cost, Extent, Kind, generate, lower, simulate, validate};
///
/// let extent = Extent { num_ranks: 4, stages_per_rank: 1, num_microbatches: 8 };
/// let program = validate(lower(&generate(Kind::OneFOneB, &extent)?))?;
/// let timeline = simulate(&program, &Cost::UNIT);
/// assert_eq!(timeline.makespan(), 33.0); // (8 + 4 - 1) * 3
/// assert_eq!(timeline.bubble_rate(), 3.0 / 11.0);
/// assert_eq!(timeline.peak_activations(), [4, 3, 2, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn simulate(program: &ValidProgram, cost: &Cost) -> Timeline {
    let num_microbatches = program.num_microbatches();
    let num_cells = program.num_stages() * num_microbatches;
    let mut clock = Clock {
        cost,
        num_microbatches,
        now: vec![0.0; program.num_ranks()],
        arrivals: [vec![0.0; num_cells], vec![0.0; num_cells]],
        spans: program.rows().iter().map(|row| Vec::with_capacity(row.len())).collect(),
    };
    let run = walk(program.rows(), program.placement(), &mut clock);
    debug_assert!(run.is_ok(), "validated: every rank comes to its end");
    Timeline::new(clock.spans)
}

/// The time on every rank.
struct Clock<'a> {
    cost: &'a Cost,
    num_microbatches: usize,
    now: Vec<f64>,
    /// By direction, when the tensors for (stage, microbatch) arrive from another rank; a valid
    /// program is as long as this at least.
    arrivals: [Vec<f64>; 2],
    spans: Vec<Vec<Span>>,
}

impl Clock<'_> {
    fn arrival(&mut self, transfer: Transfer) -> &mut f64 {
        let Transfer { direction, stage, microbatch } = transfer;
        let direction = match direction {
            Direction::Forward => 0,
            Direction::Backward => 1,
        };
        let cell = stage.index() * self.num_microbatches + microbatch.index();
        &mut self.arrivals[direction][cell]
    }

    fn push(&mut self, rank: Rank, action: Action, start: f64, end: f64) {
        self.spans[rank.index()].push(Span { action, start, end });
    }
}

impl Visit for Clock<'_> {
    /// When it arrives.
    type Message = f64;

    fn compute(&mut self, rank: Rank, work: Work) {
        let mut start = self.now[rank.index()];
        let mut cost = 0.0;
        for Compute { op, stage, microbatch } in work.parts() {
            let arrival = op
                .direction()
                .map_or(0.0, |direction| *self.arrival(Transfer { direction, stage, microbatch }));
            start = start.max(arrival);
            cost += self.cost.of(op);
        }
        self.now[rank.index()] = start + cost;
        self.push(rank, work.into(), start, start + cost);
    }

    fn other(&mut self, rank: Rank, action: Action) {
        let now = self.now[rank.index()];
        self.push(rank, action, now, now);
    }

    fn send(&mut self, rank: Rank, transfer: Transfer) -> f64 {
        let now = self.now[rank.index()];
        self.push(rank, Action::Send(transfer), now, now);
        now + self.cost.latency()
    }

    fn recv(&mut self, rank: Rank, transfer: Transfer, arrives: f64) {
        let now = self.now[rank.index()];
        *self.arrival(transfer) = arrives;
        self.push(rank, Action::Recv(transfer), now, now.max(arrives));
    }
}
