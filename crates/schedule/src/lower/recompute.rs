//! The pass that computes activations again before the backward instead of keeping them: our own.

use std::num::NonZeroUsize;

use super::replanned;
use super::slots::{Slots, moved_by};
use crate::{Compute, ComputeOp, Direction, Plan, Rank, Stage, Work};

/// Which activations are computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recompute<'a> {
    /// All of them.
    All,
    /// Those of these stages; such as the plan does not have mean nothing to it.
    Stages(&'a [Stage]),
    /// On every stage, those of one in so many microbatches: 0, n, 2n and so on. The larger n, the
    /// less time it takes and the less memory it saves; 1 is all of them. The one that goes backward
    /// is whole, so that a rank which holds no more than n at once saves nothing.
    EveryNth(NonZeroUsize),
}

/// The same plan with `R` directly before each `B` or `I` of what is chosen, where there is none
/// yet: between forward and backward such a microbatch leaves its inputs only, at the price of
/// another forward. A table may have its `R` earlier, and then holds the activations from there on.
///
/// # Examples
/// ```
/// use autopipe_schedule::csv;
/// use autopipe_schedule::lower::{Recompute, recompute};
///
/// let plan = csv::read_plan("0F0,1F0,1B0,0I0,0W0\n".as_bytes())?;
/// let again = csv::read_plan("0F0,1F0,1R0,1B0,0R0,0I0,0W0\n".as_bytes())?;
/// assert_eq!(recompute(&plan, Recompute::All), again);
///
/// let plan = csv::read_plan("0F0,0F1,0F2,0B0,0B1,0B2\n".as_bytes())?;
/// let every_second = recompute(&plan, Recompute::EveryNth(2.try_into()?));
/// let again = csv::read_plan("0F0,0F1,0F2,0R0,0B0,0B1,0R2,0B2\n".as_bytes())?;
/// assert_eq!(every_second, again);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn recompute(plan: &Plan, which: Recompute<'_>) -> Plan {
    let slots = Slots::new(plan);
    let (listed, n): (Option<&[Stage]>, usize) = match which {
        Recompute::All => (None, 1),
        Recompute::Stages(stages) => (Some(stages), 1),
        Recompute::EveryNth(n) => (None, n.get()),
    };
    let mut is_chosen = vec![listed.is_none(); plan.num_stages()];
    for stage in listed.unwrap_or_default() {
        if let Some(is_chosen) = is_chosen.get_mut(stage.index()) {
            *is_chosen = true;
        }
    }
    let chooses =
        |part: Compute| is_chosen[part.stage.index()] && part.microbatch.index().is_multiple_of(n);
    let ranks = (0..plan.num_ranks()).map(Rank::new);
    let rows = ranks.map(|rank| recompute_row(&slots, rank, chooses)).collect();
    replanned(rows)
}

fn recompute_row(slots: &Slots<'_>, rank: Rank, chooses: impl Fn(Compute) -> bool) -> Vec<Work> {
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
                && !is_done[place]
                && chooses(part)
            {
                lowered.push(Compute { op: ComputeOp::Recompute, ..part }.into());
            }
        }
        lowered.push(work);
    }
    lowered
}
