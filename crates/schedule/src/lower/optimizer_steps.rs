//! The pass that adds the optimiser: our own.

use super::slots::Slots;
use super::{Lowering, OptimizerSteps, ReduceGrads};
use crate::{Action, Rank, Stage};

/// Adds one `OPTIMIZER_STEP` a stage, where the option says.
pub(super) fn add(
    slots: &Slots<'_>,
    rank: Rank,
    lowering: &Lowering,
    row: Vec<Action>,
) -> Vec<Action> {
    match lowering.optimizer_steps {
        OptimizerSteps::Never => row,
        OptimizerSteps::AtEnd => at_end(slots, rank, row),
        OptimizerSteps::WhenReady => when_ready(slots, rank, lowering, &row),
    }
}

fn at_end(slots: &Slots<'_>, rank: Rank, mut row: Vec<Action>) -> Vec<Action> {
    let stages = slots.plan.placement().stages_of(rank);
    row.reserve_exact(stages.len());
    row.extend(stages.iter().copied().map(Action::OptimizerStep));
    row
}

/// A stage's gradients are final with the last of its actions that changes them: a sum over tied
/// stages, the wait for a reduction, or a backward.
fn when_ready(slots: &Slots<'_>, rank: Rank, lowering: &Lowering, row: &[Action]) -> Vec<Action> {
    let stages = slots.plan.placement().stages_of(rank);
    let mut num_left: Vec<usize> = stages
        .iter()
        .map(|stage| match lowering.tied.iter().filter(|group| group.contains(stage)).count() {
            0 if lowering.reduce_grads == ReduceGrads::Never => slots.plan.num_microbatches(),
            0 => 1,
            num_groups => num_groups,
        })
        .collect();
    let is_tied = |stage: Stage| lowering.tied.iter().any(|group| group.contains(&stage));
    let is_reduced = lowering.reduce_grads != ReduceGrads::Never;
    let mut lowered = Vec::with_capacity(row.len() + stages.len());
    // What the last backward sends goes first: others wait for it. And the stages of a group that
    // are on one rank take part in its sum one after the other.
    let mut ready: Vec<Stage> = Vec::new();
    for &action in row {
        if !matches!(action, Action::Send(_) | Action::ReduceTied { .. }) {
            lowered.extend(ready.drain(..).map(Action::OptimizerStep));
        }
        lowered.push(action);
        let mut count = |stage: Stage| {
            let left = &mut num_left[slots.slot(stage)];
            *left -= 1;
            if *left == 0 {
                ready.push(stage);
            }
        };
        match action {
            Action::ReduceTied { stage, .. } => count(stage),
            Action::WaitReduceGrad(stage) if !is_tied(stage) => count(stage),
            Action::Compute(_) | Action::Overlap(_) if !is_reduced => action
                .computes()
                .filter(|&part| part.op.frees() && !is_tied(part.stage))
                .for_each(|part| count(part.stage)),
            Action::Compute(_)
            | Action::Overlap(_)
            | Action::WaitReduceGrad(_)
            | Action::Send(_)
            | Action::Recv(_)
            | Action::WaitSend(_)
            | Action::Unshard(_)
            | Action::Reshard(_)
            | Action::ReduceGrad(_)
            | Action::OptimizerStep(_) => {}
        }
    }
    lowered.extend(ready.into_iter().map(Action::OptimizerStep));
    lowered
}
