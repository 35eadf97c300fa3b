//! What ranks hold of their microbatches over time.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::timeline::computes;
use super::{Costs, Span, Timeline};
use crate::{Compute, ComputeOp, MicroBatch, Stage};

/// What a rank holds from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryPoint {
    /// When it changes.
    pub time: f64,
    /// How many pairs of stage and microbatch it holds something of.
    pub activations: usize,
    /// How much that is, in the unit of the costs' sizes.
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
        let mut peak = 0.0f64;
        curve(row, costs, |point| peak = peak.max(point.bytes));
        peak
    };
    timeline.rows().iter().map(|row| if trains { peak(row) } else { 0.0 }).collect()
}

pub(super) fn curves(timeline: &Timeline, costs: &Costs) -> Vec<Vec<MemoryPoint>> {
    let trains = timeline.has_backward();
    let points = |row: &Vec<Span>| {
        let mut points: Vec<MemoryPoint> = Vec::new();
        curve(row, costs, |point| points.push(point));
        points
    };
    timeline.rows().iter().map(|row| if trains { points(row) } else { Vec::new() }).collect()
}

/// Tells every change of what a rank holds.
///
/// A forward needs its memory from its start, as does a recomputation. A backward frees what it
/// frees at its end.
fn curve(row: &[Span], costs: &Costs, mut tell: impl FnMut(MemoryPoint)) {
    let recomputed: BTreeSet<(Stage, MicroBatch)> = computes(row)
        .flat_map(|(work, _)| work.parts())
        .filter(|part| part.op == ComputeOp::Recompute)
        .map(|part| (part.stage, part.microbatch))
        .collect();
    let mut point = MemoryPoint { time: 0.0, activations: 0, bytes: 0.0 };
    let mut change = |time: f64, part: Compute, is_end: bool| {
        let stage = costs.stage(part.stage);
        let is_recomputed = || recomputed.contains(&(part.stage, part.microbatch));
        let bytes = match (part.op, is_end) {
            (ComputeOp::Forward, false) => stage.activation_bytes,
            // While it runs it needs all, whatever is left of it.
            (ComputeOp::Forward, true) if !recomputed.is_empty() && is_recomputed() => {
                stage.held_for_recompute - stage.activation_bytes
            }
            (ComputeOp::Recompute, false) => stage.activation_bytes - stage.held_for_recompute,
            (ComputeOp::BackwardInput, true) => stage.held_for_weight - stage.activation_bytes,
            (ComputeOp::BackwardWeight, true) => -stage.held_for_weight,
            (ComputeOp::Backward, true) => -stage.activation_bytes,
            (ComputeOp::Forward | ComputeOp::Recompute, true)
            | (ComputeOp::BackwardInput | ComputeOp::BackwardWeight | ComputeOp::Backward, false) =>
            {
                return;
            }
        };
        let activations = match (part.op, is_end) {
            (ComputeOp::Forward, false) => point.activations + 1,
            _ if part.op.frees() => point.activations.saturating_sub(1),
            _ => point.activations,
        };
        // Where nothing is held, nothing is left of the rounding either.
        let bytes = if activations == 0 { 0.0 } else { point.bytes + bytes };
        if bytes != point.bytes || activations != point.activations {
            point = MemoryPoint { time, activations, bytes };
            tell(point);
        }
    };
    for (work, span) in computes(row) {
        for part in work.parts() {
            change(span.start, part, false);
        }
        for part in work.parts() {
            change(span.end, part, true);
        }
    }
}
