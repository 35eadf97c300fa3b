//! What ranks hold of their microbatches over time.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::timeline::computes;
use super::{Costs, Held, Span, Timeline, holds_rank};
use crate::{Compute, ComputeOp, MicroBatch, Stage};

/// What a rank holds from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryPoint {
    /// When it changes.
    pub time: f64,
    /// How many pairs of stage and microbatch it holds something of.
    pub activations: usize,
    /// How much it holds in all: in bytes if that was measured, else in the unit of the costs' sizes.
    pub bytes: f64,
}

/// The most pairs of stage and microbatch that each rank holds.
pub(super) fn peak_activations(timeline: &Timeline) -> Vec<usize> {
    let trains = timeline.has_backward();
    let peak = |row: &Vec<Span>| {
        let (mut alive, mut peak) = (0usize, 0);
        for part in computes(row).flat_map(|(work, _)| work.parts()) {
            if part.op == ComputeOp::Forward {
                alive += 1;
                peak = peak.max(alive);
            } else if part.op.frees() {
                alive = alive.saturating_sub(1);
            }
        }
        peak
    };
    timeline.rows().iter().map(|row| if trains { peak(row) } else { 0 }).collect()
}

pub(super) fn peak_bytes(timeline: &Timeline, costs: &Costs) -> Vec<f64> {
    let trains = timeline.has_backward();
    let peak = |row: &Vec<Span>| {
        let mut memory = Memory::new(row, costs, trains);
        let peaks = row.iter().map(|span| memory.pass(span).held.peak);
        peaks.fold(0.0, f64::max)
    };
    timeline.rows().iter().map(peak).collect()
}

pub(super) fn curves(timeline: &Timeline, costs: &Costs) -> Vec<Vec<MemoryPoint>> {
    let trains = timeline.has_backward();
    timeline.rows().iter().map(|row| curve(row, costs, trains)).collect()
}

/// The same rows, with what the costs say of sizes.
pub(super) fn with_sizes(timeline: &Timeline, costs: &Costs) -> Vec<Vec<Span>> {
    let trains = timeline.has_backward();
    let sized = |row: &Vec<Span>| {
        let mut memory = Memory::of_costs(row, costs, trains);
        let sized = |&span: &Span| Span {
            moved: costs.moved(span.action),
            held: Some(memory.pass(&span).held),
            ..span
        };
        row.iter().map(sized).collect()
    };
    timeline.rows().iter().map(sized).collect()
}

fn curve(row: &[Span], costs: &Costs, trains: bool) -> Vec<MemoryPoint> {
    let mut memory = Memory::new(row, costs, trains);
    let mut points = Vec::new();
    let mut last = MemoryPoint { time: 0.0, activations: 0, bytes: 0.0 };
    let mut tell = |time: f64, activations: usize, bytes: f64| {
        if (activations, bytes) != (last.activations, last.bytes) {
            last = MemoryPoint { time, activations, bytes };
            points.push(last);
        }
    };
    if !memory.is_measured {
        tell(0.0, 0, memory.resident);
    }
    for span in row {
        let Passed { activations, held } = memory.pass(span);
        tell(span.start, activations, held.peak);
        let until = if holds_rank(span.action) { span.end } else { span.start };
        tell(until, memory.activations, held.end);
    }
    points
}

/// A rank on its way through its row, as far as its memory goes.
pub(super) struct Memory<'a> {
    pub(super) costs: &'a Costs,
    /// Whether activations are kept at all.
    trains: bool,
    /// Whether the spans say what is held, so that nobody has to reckon.
    is_measured: bool,
    recomputed: BTreeSet<(Stage, MicroBatch)>,
    /// What is always there.
    resident: f64,
    activations: usize,
    bytes: f64,
}

/// What an action has taken.
pub(super) struct Passed {
    /// How many pairs of stage and microbatch the rank holds something of while it runs.
    activations: usize,
    pub(super) held: Held,
}

impl<'a> Memory<'a> {
    /// As measured, if any span of the row says what is held.
    fn new(row: &[Span], costs: &'a Costs, trains: bool) -> Self {
        let is_measured = row.iter().any(|span| span.held.is_some());
        Self { is_measured, ..Self::of_costs(row, costs, trains) }
    }

    /// As the costs say, whatever was measured.
    pub(super) fn of_costs(row: &[Span], costs: &'a Costs, trains: bool) -> Self {
        let parts = || computes(row).flat_map(|(work, _)| work.parts());
        let cell = |part: Compute| (part.stage, part.microbatch);
        let stages: BTreeSet<Stage> = parts().map(|part| part.stage).collect();
        let resident = stages.iter().map(|&stage| costs.stage(stage).resident).sum();
        Self {
            costs,
            trains,
            is_measured: false,
            recomputed: parts().filter(|part| part.op == ComputeOp::Recompute).map(cell).collect(),
            resident,
            activations: 0,
            bytes: resident,
        }
    }

    /// Goes past an action.
    pub(super) fn pass(&mut self, span: &Span) -> Passed {
        let (mut begun, mut ended) = (0, 0);
        let mut sum = Need::default();
        for part in span.action.computes() {
            let need = self.need(part);
            sum.start += need.start;
            sum.end += need.end;
            sum.workspace += need.workspace;
            begun += usize::from(part.op == ComputeOp::Forward && self.trains);
            ended += usize::from(part.op.frees());
        }
        let during = self.activations + begun;
        self.activations = during.saturating_sub(ended);
        let before = self.bytes;
        // Where no activation is held, nothing is left of the rounding either.
        let after = if self.activations == 0 { self.resident } else { before + sum.end };
        let reckoned =
            Held { end: after, peak: (before + sum.start).max(before).max(after) + sum.workspace };
        let held = match span.held {
            Some(held) if self.is_measured => held,
            None if self.is_measured => Held { end: before, peak: before },
            Some(_) | None => reckoned,
        };
        self.bytes = held.end;
        Passed { activations: during, held }
    }

    /// Whether the activations of a computation's forward are computed again.
    pub(super) fn is_recomputed(&self, part: Compute) -> bool {
        let cell = (part.stage, part.microbatch);
        !self.recomputed.is_empty() && self.recomputed.contains(&cell)
    }

    /// What one computation changes.
    ///
    /// A forward needs its memory from its start, whatever is left of it, as does a recomputation. A
    /// backward frees what it frees at its end.
    fn need(&self, part: Compute) -> Need {
        let stage = self.costs.stage(part.stage);
        let size = self.costs.size_of(part.microbatch);
        let workspace = size * stage.workspace(part.op);
        if !self.trains {
            return Need { workspace, ..Need::default() };
        }
        let (all, for_weight, for_recompute) =
            (stage.activation_bytes, stage.held_for_weight, stage.held_for_recompute);
        let (start, end) = match part.op {
            ComputeOp::Forward if self.is_recomputed(part) => (all, for_recompute),
            ComputeOp::Forward => (all, all),
            ComputeOp::Recompute => (all - for_recompute, all - for_recompute),
            ComputeOp::BackwardInput => (0.0, for_weight - all),
            ComputeOp::BackwardWeight => (0.0, -for_weight),
            ComputeOp::Backward => (0.0, -all),
        };
        Need { start: size * start, end: size * end, workspace }
    }
}

/// By how much more is held because of a computation.
#[derive(Default)]
struct Need {
    /// From its start on.
    start: f64,
    /// From its end on.
    end: f64,
    /// While it runs, beside these.
    workspace: f64,
}
