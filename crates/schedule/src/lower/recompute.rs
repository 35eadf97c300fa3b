//! The pass that computes activations again before the backward instead of keeping them: our own.

use super::replanned;
use super::slots::{Slots, moved_by};
use crate::{Compute, ComputeOp, Direction, Plan, Rank, Stage, Work};

/// Which stages compute their activations again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recompute<'a> {
    /// All of them.
    All,
    /// These; such as the plan does not have mean nothing to it.
    Stages(&'a [Stage]),
}

/// The same plan with `R` directly before each `B` or `I` of the given stages, where there is none
/// yet: between forward and backward such a stage keeps its inputs only, at the price of another
/// forward.
///
/// # Examples
/// ```
/// use autopipe_schedule::csv;
/// use autopipe_schedule::lower::{Recompute, recompute};
///
/// let plan = csv::read_plan("0F0,1F0,1B0,0I0,0W0\n".as_bytes())?;
/// let again = csv::read_plan("0F0,1F0,1R0,1B0,0R0,0I0,0W0\n".as_bytes())?;
/// assert_eq!(recompute(&plan, Recompute::All), again);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn recompute(plan: &Plan, which: Recompute<'_>) -> Plan {
    let slots = Slots::new(plan);
    let mut is_chosen = vec![which == Recompute::All; plan.num_stages()];
    if let Recompute::Stages(stages) = which {
        for stage in stages {
            if let Some(is_chosen) = is_chosen.get_mut(stage.index()) {
                *is_chosen = true;
            }
        }
    }
    let ranks = (0..plan.num_ranks()).map(Rank::new);
    let rows = ranks.map(|rank| recompute_row(&slots, rank, &is_chosen)).collect();
    replanned(rows)
}

fn recompute_row(slots: &Slots<'_>, rank: Rank, is_chosen: &[bool]) -> Vec<Work> {
    let row = &slots.plan.rows()[rank.index()];
    let num_microbatches = slots.plan.num_microbatches();
    let mut is_done = vec![false; slots.num_slots(rank) * num_microbatches];
    let mut lowered = Vec::with_capacity(row.len());
    for &work in row {
        for part in work.parts() {
            let place = slots.slot(part.stage) * num_microbatches + part.microbatch.index();
            if part.op == ComputeOp::Recompute {
                is_done[place] = true;
            } else if moved_by(part).is_some_and(|moved| moved.direction == Direction::Backward)
                && is_chosen[part.stage.index()]
                && !is_done[place]
            {
                lowered.push(Compute { op: ComputeOp::Recompute, ..part }.into());
            }
        }
        lowered.push(work);
    }
    lowered
}
