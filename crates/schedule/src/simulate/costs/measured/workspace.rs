//! What was needed while something was computed, beside what was held before and behind it.

use std::collections::BTreeMap;

use super::middle::lower_middle;
use super::{CostKey, Costs, PerStage};
use crate::simulate::costs::MOST;
use crate::simulate::memory::Memory;
use crate::{Action, ComputeOp, Overlap};

type Samples = BTreeMap<(usize, ComputeOp), Vec<f64>>;

/// How far peaks were above what was held.
#[derive(Default)]
pub(super) struct Workspaces {
    alone: Samples,
    /// The same of forwards that are computed again. While one runs it is taken to need all of its
    /// activations, whether it does or not, so that others know better.
    again: Samples,
    overlaps: Vec<(Overlap, f64)>,
}

impl Workspaces {
    /// Notes what an action needed.
    pub(super) fn add(&mut self, action: Action, needed: f64, memory: &Memory<'_>) {
        match action {
            Action::Compute(compute) => {
                let size = memory.costs.size_of(compute.microbatch);
                if size > 0.0 {
                    let is_again =
                        compute.op == ComputeOp::Forward && memory.is_recomputed(compute);
                    let samples = if is_again { &mut self.again } else { &mut self.alone };
                    let key = (compute.stage.index(), compute.op);
                    samples.entry(key).or_default().push(needed / size);
                }
            }
            Action::Overlap(overlap) => self.overlaps.push((overlap, needed)),
            Action::Send(_)
            | Action::Recv(_)
            | Action::WaitSend(_)
            | Action::Unshard(_)
            | Action::Reshard(_)
            | Action::ReduceGrad(_)
            | Action::WaitReduceGrad(_)
            | Action::ReduceTied { .. }
            | Action::OptimizerStep(_) => {}
        }
    }

    /// By stage, the median of each operation that any stage has done.
    pub(super) fn of_stages(
        mut self,
        num_stages: usize,
        costs: &Costs,
    ) -> Vec<(CostKey, PerStage)> {
        for (key, again) in std::mem::take(&mut self.again) {
            self.alone.entry(key).or_insert(again);
        }
        self.share_overlaps(costs);
        let of = |stage: usize, op| lower_middle(self.alone.get(&(stage, op)));
        // What a stage has not done takes what the costs would say if only the rest were given.
        let filled = |stage: usize, op: ComputeOp| {
            let of = |op| of(stage, op);
            let (input, weight) = (of(ComputeOp::BackwardInput), of(ComputeOp::BackwardWeight));
            let filled = of(op).or_else(|| match op {
                ComputeOp::Forward => None,
                ComputeOp::Recompute => of(ComputeOp::Forward),
                ComputeOp::Backward => input.into_iter().chain(weight).reduce(f64::max),
                ComputeOp::BackwardInput | ComputeOp::BackwardWeight => of(ComputeOp::Backward),
            });
            filled.unwrap_or(0.0).min(MOST)
        };
        let keys = [
            (CostKey::WorkspaceForward, ComputeOp::Forward),
            (CostKey::WorkspaceInput, ComputeOp::BackwardInput),
            (CostKey::WorkspaceWeight, ComputeOp::BackwardWeight),
            (CostKey::WorkspaceBackward, ComputeOp::Backward),
            (CostKey::WorkspaceRecompute, ComputeOp::Recompute),
        ];
        let by_stage = |op| (0..num_stages).map(|stage| filled(stage, op)).collect::<Vec<f64>>();
        keys.into_iter()
            .filter(|&(_, op)| (0..num_stages).any(|stage| of(stage, op).is_some()))
            .map(|(key, op)| (key, by_stage(op).into()))
            .collect()
    }

    /// Where a stage did something only beside something else, gives it what that leaves.
    fn share_overlaps(&mut self, costs: &Costs) {
        for wanted in [ComputeOp::Backward, ComputeOp::Forward] {
            let mut found = Samples::new();
            for &(overlap, needed) in &self.overlaps {
                let (own, other) = match wanted {
                    ComputeOp::Forward => (overlap.forward(), overlap.backward()),
                    _ => (overlap.backward(), overlap.forward()),
                };
                let (key, size) = ((own.stage.index(), own.op), costs.size_of(own.microbatch));
                if !self.alone.contains_key(&key) && size > 0.0 {
                    let of_other = self.alone.get(&(other.stage.index(), other.op));
                    let of_other = lower_middle(of_other).unwrap_or(0.0);
                    let rest = needed - costs.size_of(other.microbatch) * of_other;
                    found.entry(key).or_default().push(rest.max(0.0) / size);
                }
            }
            self.alone.extend(found);
        }
    }
}
