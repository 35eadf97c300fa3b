//! What was held of microbatches, and what was always there.

use std::collections::{BTreeMap, BTreeSet};

use super::middle::{lower_middle, upper_middle};
use super::workspace::Workspaces;
use super::{CostKey, Costs, PerStage};
use crate::simulate::costs::MOST;
use crate::simulate::memory::Memory;
use crate::{Action, Compute, ComputeOp, Direction, Span, Stage, Timeline, Transfer};

/// Adds what the spans say of memory to costs whose sizes of microbatches are known.
pub(super) fn add(mut costs: Costs, timeline: &Timeline, num_stages: usize) -> Costs {
    if timeline.rows().iter().flatten().all(|span| span.held.is_none()) {
        return costs;
    }
    let trains = timeline.has_backward();
    if trains {
        let kept = kept(timeline, num_stages, &costs);
        costs.given.extend(kept);
        costs = costs.worked_out();
    }
    let mut workspaces = Workspaces::default();
    let mut resident = vec![0.0; num_stages];
    for row in timeline.rows() {
        let mut memory = Memory::of_costs(row, &costs, trains);
        let mut rest = Vec::new();
        // What was held before, if that is known, and what should have been.
        let (mut was, mut model) = (None, 0.0);
        for span in row {
            let reckoned = memory.pass(span).held;
            if let Some(held) = span.held {
                let before = was.unwrap_or(held.end - (reckoned.end - model));
                let needed = (before + (reckoned.peak - model)).max(held.end);
                workspaces.add(span.action, (held.peak - needed).max(0.0), &memory);
                if span.action.work().is_some() {
                    rest.push(held.end - reckoned.end);
                }
            }
            was = span.held.map(|held| held.end);
            model = reckoned.end;
        }
        let parts = row.iter().flat_map(|span| span.action.computes());
        let stages: BTreeSet<Stage> = parts.map(|part| part.stage).collect();
        let rest = upper_middle(Some(&rest)).unwrap_or(0.0).max(0.0);
        for stage in &stages {
            resident[stage.index()] = rest / stages.len() as f64;
        }
    }
    let workspaces = workspaces.of_stages(num_stages, &costs);
    costs.given.extend(workspaces);
    costs.given.insert(CostKey::Resident, resident.into());
    costs.worked_out()
}

/// By stage, what is held of a microbatch, and what is left of it between I and W, and F and R.
fn kept(timeline: &Timeline, num_stages: usize, costs: &Costs) -> Vec<(CostKey, PerStage)> {
    let mut samples: Vec<Samples> = (0..num_stages).map(|_| Samples::default()).collect();
    let changes = changes(timeline);
    for (&compute, &change) in &changes {
        let size = costs.size_of(compute.microbatch);
        let recompute = Compute { op: ComputeOp::Recompute, ..compute };
        let of_stage = &mut samples[compute.stage.index()];
        let (of_op, sign) = match compute.op {
            ComputeOp::Forward if changes.contains_key(&recompute) => (&mut of_stage.input, 1.0),
            ComputeOp::Forward => (&mut of_stage.forward, 1.0),
            ComputeOp::Recompute => (&mut of_stage.recompute, 1.0),
            ComputeOp::BackwardInput => (&mut of_stage.backward_input, -1.0),
            ComputeOp::BackwardWeight => (&mut of_stage.backward_weight, -1.0),
            ComputeOp::Backward => (&mut of_stage.backward, -1.0),
        };
        if let Some(change) = change
            && size > 0.0
        {
            of_op.push(sign * change / size);
        }
    }
    let by_stage = |value: fn(&Samples) -> Option<f64>, otherwise: fn(&Samples) -> Option<f64>| {
        let is_known = samples.iter().any(|of_stage| value(of_stage).is_some());
        let value = |of_stage| value(of_stage).or_else(|| otherwise(of_stage)).unwrap_or(0.0);
        let values: Vec<f64> = samples.iter().map(|one| value(one).clamp(0.0, MOST)).collect();
        is_known.then(|| PerStage::from(values))
    };
    let keys = [
        (CostKey::ActivationBytes, by_stage(Samples::activation, |_| None)),
        (CostKey::HeldForWeight, by_stage(Samples::held_for_weight, Samples::activation)),
        (CostKey::HeldForRecompute, by_stage(Samples::held_for_recompute, |_| None)),
    ];
    keys.into_iter().filter_map(|(key, values)| Some((key, values?))).collect()
}

/// By how much each of a stage's computations has changed what is held, as far as it is known.
#[derive(Default)]
struct Samples {
    /// Of forwards whose activations stay.
    forward: Vec<f64>,
    /// Of forwards whose activations are computed again, so that only the input stays.
    input: Vec<f64>,
    recompute: Vec<f64>,
    /// Of backwards, what they have freed.
    backward_input: Vec<f64>,
    backward_weight: Vec<f64>,
    backward: Vec<f64>,
}

impl Samples {
    fn activation(&self) -> Option<f64> {
        let sum = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
        let again = || sum(lower_middle(Some(&self.input)), lower_middle(Some(&self.recompute)));
        let (input, weight) = (&self.backward_input, &self.backward_weight);
        lower_middle(Some(&self.forward))
            .or_else(again)
            .or_else(|| upper_middle(Some(&self.backward)))
            .or_else(|| sum(upper_middle(Some(input)), upper_middle(Some(weight))))
    }

    fn held_for_weight(&self) -> Option<f64> {
        let freed = |input: f64| self.activation().map(|all| all - input);
        upper_middle(Some(&self.backward_weight))
            .or_else(|| upper_middle(Some(&self.backward_input)).and_then(freed))
    }

    fn held_for_recompute(&self) -> Option<f64> {
        let left = |again: f64| self.activation().map(|all| all - again);
        lower_middle(Some(&self.input))
            .or_else(|| lower_middle(Some(&self.recompute)).and_then(left))
    }
}

/// By how much more is held because of each computation that did not overlap another, its messages
/// with it; none where it is not known.
fn changes(timeline: &Timeline) -> BTreeMap<Compute, Option<f64>> {
    let of_row = |row: &[Span]| -> Vec<(Action, Option<f64>)> {
        let mut was = None;
        let change = |span: &Span| {
            let is = span.held.map(|held| held.end);
            let change = is.zip(was).map(|(is, was): (f64, f64)| is - was);
            was = is;
            (span.action, change)
        };
        row.iter().map(change).collect()
    };
    let all: Vec<(Action, Option<f64>)> =
        timeline.rows().iter().flat_map(|row| of_row(row)).collect();
    let alone = |&(action, change): &(Action, Option<f64>)| match action {
        Action::Compute(compute) => Some((compute, change)),
        _ => None,
    };
    let mut changes: BTreeMap<Compute, Option<f64>> = all.iter().filter_map(alone).collect();
    for (action, change) in all {
        let (Action::Send(transfer) | Action::Recv(transfer) | Action::WaitSend(transfer)) = action
        else {
            continue;
        };
        for compute in users(transfer) {
            if let Some(sum) = changes.get_mut(&compute) {
                *sum = sum.zip(change).map(|(sum, change)| sum + change);
            }
        }
    }
    changes
}

/// The computations that a message may belong to, of which a stage has one.
fn users(transfer: Transfer) -> impl Iterator<Item = Compute> {
    let Transfer { direction, stage, microbatch } = transfer;
    let ops: &[ComputeOp] = match direction {
        Direction::Forward => &[ComputeOp::Forward],
        Direction::Backward => &[ComputeOp::Backward, ComputeOp::BackwardInput],
    };
    ops.iter().map(move |&op| Compute { op, stage, microbatch })
}
