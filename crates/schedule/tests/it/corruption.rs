//! Valid programs, spoiled at random. The validator has to refuse those that go wrong when naive
//! ranks run them, and no others.

use autopipe_schedule::{
    Action, Compute, ComputeOp, Costs, MicroBatch, Overlap, Plan, Program, Stage, Transfer, lower,
    simulate, validate,
};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::{interpreter, strategies};

/// How a program is spoiled.
#[derive(Clone, Copy, Debug)]
enum Spoil {
    Drop,
    Duplicate,
    Swap,
    /// With an action close by, which is more often harmless.
    SwapNear,
    /// The action goes to another place, maybe on another rank.
    Move,
    /// The action is about another stage or microbatch.
    Retarget,
    /// The action is another one with the same stage and microbatch.
    Replace,
}

fn spoils() -> impl Strategy<Value = Spoil> {
    prop::sample::select(
        &[
            Spoil::Drop,
            Spoil::Duplicate,
            Spoil::Swap,
            Spoil::SwapNear,
            Spoil::Move,
            Spoil::Retarget,
            Spoil::Replace,
        ][..],
    )
}

/// A plan's program, with all that a program may have besides sends and receives, or without.
fn rows(plan: &Plan, is_dressed: bool) -> Vec<Vec<Action>> {
    let mut rows = lower(plan).into_rows();
    if !is_dressed {
        return rows;
    }
    let all: Vec<Stage> = (0..plan.num_stages()).map(Stage::new).collect();
    let tied = [all[0], all[all.len() - 1]];
    for (rank, row) in rows.iter_mut().enumerate() {
        let stages = plan.placement().stages_of(autopipe_schedule::Rank::new(rank));
        let waits: Vec<Action> = row
            .iter()
            .filter_map(|action| match action {
                Action::Send(transfer) => Some(Action::WaitSend(*transfer)),
                _ => None,
            })
            .collect();
        row.splice(0..0, stages.iter().map(|&stage| Action::Unshard(stage)));
        row.extend(waits);
        row.extend(stages.iter().map(|&stage| Action::Reshard(stage)));
        if plan.has_backward() {
            row.extend(stages.iter().map(|&stage| Action::ReduceGrad(stage)));
            row.extend(stages.iter().map(|&stage| Action::WaitReduceGrad(stage)));
            let group = 3;
            let tied = stages.iter().filter(|stage| all.len() > 1 && tied.contains(stage));
            row.extend(tied.map(|&stage| Action::ReduceTied { stage, group }));
            row.extend(stages.iter().map(|&stage| Action::OptimizerStep(stage)));
        }
    }
    rows
}

/// The same kind of action elsewhere.
fn retargeted(action: Action, to: usize) -> Action {
    let moved = |index: usize| match to / 2 {
        0 if index > 0 => index - 1,
        further => index + 1 + further,
    };
    let (move_stage, move_microbatch) = (to.is_multiple_of(2), !to.is_multiple_of(2));
    let other = |stage: Stage| {
        if move_stage { Stage::new(moved(stage.index())) } else { stage }
    };
    let another = |microbatch: MicroBatch| {
        if move_microbatch { MicroBatch::new(moved(microbatch.index())) } else { microbatch }
    };
    let transfer = |transfer: Transfer| Transfer {
        stage: other(transfer.stage),
        microbatch: another(transfer.microbatch),
        ..transfer
    };
    match action {
        Action::Compute(Compute { op, stage, microbatch }) => {
            Compute { op, stage: other(stage), microbatch: another(microbatch) }.into()
        }
        Action::Overlap(overlap) => {
            let (forward, backward) = (overlap.forward(), overlap.backward());
            let forward = (other(forward.stage), another(forward.microbatch));
            Overlap::new(forward, (backward.stage, backward.microbatch)).unwrap().into()
        }
        Action::Send(sent) => Action::Send(transfer(sent)),
        Action::Recv(received) => Action::Recv(transfer(received)),
        Action::WaitSend(sent) => Action::WaitSend(transfer(sent)),
        Action::Unshard(stage) => Action::Unshard(other(stage)),
        Action::Reshard(stage) => Action::Reshard(other(stage)),
        Action::ReduceGrad(stage) => Action::ReduceGrad(other(stage)),
        Action::WaitReduceGrad(stage) => Action::WaitReduceGrad(other(stage)),
        Action::ReduceTied { stage, group } => Action::ReduceTied { stage: other(stage), group },
        Action::OptimizerStep(stage) => Action::OptimizerStep(other(stage)),
    }
}

/// Another action about the same stage, and the same microbatch if there is one.
fn replaced(action: Action, by: usize) -> Action {
    let Some(stage) = action.stage() else {
        // Only half of an overlap.
        return action.computes().nth(by % 2).unwrap().into();
    };
    let Some(microbatch) = action.microbatch() else {
        return [
            Action::Unshard(stage),
            Action::Reshard(stage),
            Action::ReduceGrad(stage),
            Action::WaitReduceGrad(stage),
            Action::ReduceTied { stage, group: 4 },
            Action::OptimizerStep(stage),
        ][by % 6];
    };
    let direction = match action {
        Action::Send(transfer) | Action::Recv(transfer) | Action::WaitSend(transfer) => {
            transfer.direction
        }
        _ => autopipe_schedule::Direction::Forward,
    };
    let transfer = Transfer { direction, stage, microbatch };
    let compute = |op| Action::Compute(Compute { op, stage, microbatch });
    [
        compute(ComputeOp::Forward),
        compute(ComputeOp::BackwardInput),
        compute(ComputeOp::BackwardWeight),
        compute(ComputeOp::Backward),
        compute(ComputeOp::Recompute),
        Action::Send(transfer),
        Action::Recv(transfer),
        Action::WaitSend(transfer),
    ][by % 8]
}

fn spoiled(rows: &mut [Vec<Action>], spoil: Spoil, at: (Index, Index), to: (Index, Index)) {
    let rank = at.0.index(rows.len());
    let step = at.1.index(rows[rank].len());
    let action = rows[rank][step];
    let to_rank = to.0.index(rows.len());
    let number = to.1.index(48);
    match spoil {
        Spoil::Drop => drop(rows[rank].remove(step)),
        Spoil::Duplicate => {
            let to_step = to.1.index(rows[to_rank].len() + 1);
            rows[to_rank].insert(to_step, action);
        }
        Spoil::Swap => {
            let other = to.1.index(rows[rank].len());
            rows[rank].swap(step, other);
        }
        Spoil::SwapNear => {
            let other = (step + 1 + number % 4).min(rows[rank].len() - 1);
            rows[rank].swap(step, other);
        }
        Spoil::Move => {
            rows[rank].remove(step);
            let to_step = to.1.index(rows[to_rank].len() + 1);
            rows[to_rank].insert(to_step, action);
        }
        Spoil::Retarget => rows[rank][step] = retargeted(action, number % 12),
        Spoil::Replace => rows[rank][step] = replaced(action, number),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_goes_wrong_is_refused_and_nothing_else(
        plan in strategies::plans(),
        is_dressed: bool,
        spoils in prop::collection::vec((spoils(), any::<((Index, Index), (Index, Index))>()), 0..3),
    ) {
        let mut rows = rows(&plan, is_dressed);
        for (spoil, (at, to)) in spoils {
            if rows.iter().all(|row| !row.is_empty()) {
                spoiled(&mut rows, spoil, at, to);
            }
        }
        let text = autopipe_schedule::csv::program_to_string(&Program::new(rows.clone()));
        match (validate(Program::new(rows.clone())), interpreter::runs(&rows)) {
            (Ok(valid), Ok(())) => {
                let timeline = simulate(&valid, &Costs::UNIT);
                let num_actions: usize = rows.iter().map(Vec::len).sum();
                prop_assert_eq!(timeline.rows().iter().map(Vec::len).sum::<usize>(), num_actions);
            }
            (Err(violations), Err(_)) => prop_assert!(violations.iter().len() > 0),
            (Ok(_), Err(problem)) => prop_assert!(false, "accepted, but {problem}\n{text}"),
            (Err(violations), Ok(())) => {
                prop_assert!(false, "harmless, but refused: {violations}\n{text}");
            }
        }
    }
}
