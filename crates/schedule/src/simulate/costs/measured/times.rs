//! How long things took.

use std::collections::BTreeMap;

use super::middle::lower_middle;
use super::{CostKey, PerStage};
use crate::{Action, ComputeOp, Timeline};

/// The exact time of whatever has a time of its own.
pub(super) fn of_actions(timeline: &Timeline) -> BTreeMap<Action, f64> {
    let mut actions: BTreeMap<Action, f64> = BTreeMap::new();
    // By tie group, the actions, and the time of the last rank to come: the others waited.
    let mut ties: BTreeMap<u16, (Vec<Action>, f64)> = BTreeMap::new();
    for row in timeline.rows() {
        // When the last collective was over, which the next one had to wait for.
        let mut stream: f64 = 0.0;
        let mut last_ties: BTreeMap<u16, f64> = BTreeMap::new();
        for &span in row {
            match span.action {
                Action::Compute(_)
                | Action::Overlap(_)
                | Action::Reshard(_)
                | Action::OptimizerStep(_) => {
                    // Clocks of ranks may be a little apart.
                    actions.insert(span.action, span.duration().max(0.0));
                }
                Action::Unshard(_) | Action::ReduceGrad(_) => {
                    let time = (span.end - span.start.max(stream)).max(0.0);
                    // A stage may be unsharded several times.
                    let least = actions.entry(span.action).or_insert(time);
                    *least = least.min(time);
                    stream = stream.max(span.end);
                }
                Action::ReduceTied { group, .. } => {
                    let tie = ties.entry(group).or_insert((Vec::new(), f64::INFINITY));
                    tie.0.push(span.action);
                    last_ties.insert(group, span.duration().max(0.0));
                }
                Action::Send(_)
                | Action::Recv(_)
                | Action::WaitSend(_)
                | Action::WaitReduceGrad(_) => {}
            }
        }
        for (group, time) in last_ties {
            ties.entry(group).and_modify(|tie| tie.1 = tie.1.min(time));
        }
    }
    actions.extend(
        ties.into_values()
            .flat_map(|(members, time)| members.into_iter().map(move |action| (action, time))),
    );
    actions
}

/// By stage, the median time of each operation that any stage has done.
pub(super) fn of_stages(timeline: &Timeline, num_stages: usize) -> BTreeMap<CostKey, PerStage> {
    let mut alone: BTreeMap<(usize, ComputeOp), Vec<f64>> = BTreeMap::new();
    let mut overlapped = alone.clone();
    for span in timeline.rows().iter().flatten() {
        let (samples, part) = match span.action {
            Action::Overlap(_) => (&mut overlapped, 0.5),
            _ => (&mut alone, 1.0),
        };
        for compute in span.action.computes() {
            let key = (compute.stage.index(), compute.op);
            samples.entry(key).or_default().push(part * span.duration().max(0.0));
        }
    }
    let time = |stage: usize, op| {
        let key = (stage, op);
        lower_middle(alone.get(&key)).or_else(|| lower_middle(overlapped.get(&key)))
    };
    // What a stage has not done takes what the costs would say if only the rest were given.
    let filled = |stage: usize, op: ComputeOp| {
        let of = |op| time(stage, op);
        let (input, weight) = (of(ComputeOp::BackwardInput), of(ComputeOp::BackwardWeight));
        let filled = of(op).or_else(|| match op {
            ComputeOp::Forward => None,
            ComputeOp::Recompute => of(ComputeOp::Forward),
            ComputeOp::Backward => Some(input? + weight?),
            ComputeOp::BackwardInput | ComputeOp::BackwardWeight => {
                of(ComputeOp::Backward).map(|whole| whole / 2.0)
            }
        });
        filled.unwrap_or(0.0)
    };
    let ops = [
        (CostKey::Forward, ComputeOp::Forward),
        (CostKey::BackwardInput, ComputeOp::BackwardInput),
        (CostKey::BackwardWeight, ComputeOp::BackwardWeight),
        (CostKey::Backward, ComputeOp::Backward),
        (CostKey::Recompute, ComputeOp::Recompute),
    ];
    ops.into_iter()
        .filter(|&(_, op)| (0..num_stages).any(|stage| time(stage, op).is_some()))
        .map(|(key, op)| (key, (0..num_stages).map(|stage| filled(stage, op)).collect::<Vec<_>>()))
        .map(|(key, values)| (key, values.into()))
        .collect()
}
