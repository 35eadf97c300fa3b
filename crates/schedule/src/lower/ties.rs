//! The pass that sums the gradients of shared parameters: our own.

use crate::{Action, Plan, Rank, Stage};

/// Appends the sums in which a rank takes part, in the order of the groups. They stand behind all
/// sends and receives, and every rank comes to them in the same order: so none can be waiting for
/// another that waits for it, wherever the stages lie.
pub(super) fn add(
    plan: &Plan,
    rank: Rank,
    tied: &[Vec<Stage>],
    mut row: Vec<Action>,
) -> Vec<Action> {
    let here = plan.placement().stages_of(rank);
    let mut sums = Vec::new();
    for (group, stages) in (0..=u16::MAX).zip(tied) {
        let members = here.iter().filter(|stage| stages.contains(stage));
        sums.extend(members.map(|&stage| Action::ReduceTied { stage, group }));
    }
    row.reserve_exact(sums.len());
    row.append(&mut sums);
    row
}
