//! Valid programs, spoiled: this tests the validator.

use autopipe_schedule::{
    Action, Compute, ComputeOp, Cost, MicroBatch, Plan, Program, Stage, Transfer, lower, simulate,
    validate,
};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::strategies;

/// Plans of several stages and microbatches: of fewer, what is left after dropping the last forward
/// may be a good plan of still fewer.
fn plans() -> impl Strategy<Value = Plan> {
    let is_enough = |plan: &Plan| plan.num_stages() > 1 && plan.num_microbatches() > 1;
    strategies::plans().prop_filter("several stages and microbatches", is_enough)
}

fn rows(plan: &Plan) -> Vec<Vec<Action>> {
    lower(plan).into_rows()
}

/// A rank that has something to do, and a step of it.
fn pick(rows: &[Vec<Action>], rank: Index, step: Index) -> (usize, usize) {
    let rank = rank.index(rows.len());
    (rank, step.index(rows[rank].len()))
}

/// The action with another stage or microbatch, whichever `to` says.
fn retargeted(action: Action, to: usize) -> Action {
    let moved = |index: usize| match to / 2 {
        0 if index > 0 => index - 1,
        further => index + 1 + further,
    };
    let mut stage = action.stage().unwrap();
    let mut microbatch = action.microbatch().unwrap();
    if to.is_multiple_of(2) {
        stage = Stage::new(moved(stage.index()));
    } else {
        microbatch = MicroBatch::new(moved(microbatch.index()));
    }
    match action {
        Action::Compute(Compute { op, .. }) => Action::Compute(Compute { op, stage, microbatch }),
        Action::Send(transfer) => Action::Send(Transfer { stage, microbatch, ..transfer }),
        Action::Recv(transfer) => Action::Recv(Transfer { stage, microbatch, ..transfer }),
        other => panic!("{other} is not in a program that sends and receives only"),
    }
}

const OPS: [ComputeOp; 4] =
    [ComputeOp::Forward, ComputeOp::BackwardInput, ComputeOp::BackwardWeight, ComputeOp::Backward];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_dropped_action_is_missed(plan in plans(), rank: Index, step: Index) {
        let mut rows = rows(&plan);
        let (rank, step) = pick(&rows, rank, step);
        let action = rows[rank].remove(step);
        prop_assert!(validate(Program::new(rows)).is_err(), "{action} of rank {rank} was dropped");
    }

    #[test]
    fn a_duplicated_action_is_refused(plan in plans(), from: (Index, Index), to: (Index, Index)) {
        let mut rows = rows(&plan);
        let (rank, step) = pick(&rows, from.0, from.1);
        let action = rows[rank][step];
        let (rank, step) = pick(&rows, to.0, to.1);
        rows[rank].insert(step, action);
        prop_assert!(validate(Program::new(rows)).is_err(), "{action} twice on rank {rank}");
    }

    #[test]
    fn a_retargeted_action_is_refused(plan in plans(), rank: Index, step: Index, to in 0usize..12) {
        let mut rows = rows(&plan);
        let (rank, step) = pick(&rows, rank, step);
        let action = rows[rank][step];
        rows[rank][step] = retargeted(action, to);
        let other = rows[rank][step];
        prop_assert!(validate(Program::new(rows)).is_err(), "{action} became {other}");
    }

    #[test]
    fn another_op_is_refused(plan in plans(), rank: Index, step: Index, other in 1usize..4) {
        let mut rows = rows(&plan);
        let (rank, step) = pick(&rows, rank, step);
        let Action::Compute(compute) = rows[rank][step] else { return Ok(()) };
        let now = OPS.iter().position(|&op| op == compute.op).unwrap();
        let op = OPS[(now + other) % OPS.len()];
        rows[rank][step] = Action::Compute(Compute { op, ..compute });
        prop_assert!(validate(Program::new(rows)).is_err(), "{compute} as {op}");
    }

    #[test]
    fn a_moved_action_is_refused(plan in plans(), from: (Index, Index), to: (Index, Index)) {
        let mut rows = rows(&plan);
        let (from, step) = pick(&rows, from.0, from.1);
        let action = rows[from].remove(step);
        let to_rank = to.0.index(rows.len());
        if to_rank == from {
            return Ok(());
        }
        let to_step = to.1.index(rows[to_rank].len() + 1);
        rows[to_rank].insert(to_step, action);
        prop_assert!(validate(Program::new(rows)).is_err(), "{action} moved to {to_rank}");
    }

    #[test]
    fn swapped_actions_are_refused_or_run_to_the_end(
        plan in plans(),
        rank: Index,
        a: Index,
        b: Index,
    ) {
        let mut rows = rows(&plan);
        let (rank, a) = pick(&rows, rank, a);
        let b = b.index(rows[rank].len());
        rows[rank].swap(a, b);
        let num_actions: usize = rows.iter().map(Vec::len).sum();
        if let Ok(valid) = validate(Program::new(rows)) {
            let timeline = simulate(&valid, &Cost::UNIT);
            prop_assert_eq!(timeline.rows().iter().map(Vec::len).sum::<usize>(), num_actions);
        }
    }
}
