//! Programs out of bytes: a generated schedule, lowered and then spoiled as the bytes say, so that
//! most inputs are nearly right.

use std::num::NonZeroUsize;

use autopipe_schedule::lower::{
    Lowering, OptimizerSteps, Receives, Recompute, ReduceGrads, Sharding, WaitSends, lower_with,
    merge_backward, recompute,
};
use autopipe_schedule::{
    Action, Compute, ComputeOp, Direction, Extent, Kind, MicroBatch, Overlap, Plan, Program, Stage,
    Transfer, generate, lower,
};

/// The program that the bytes describe. Any bytes describe one; none left are zeros.
pub(crate) fn program(bytes: &[u8]) -> Program {
    let mut bytes = Bytes(bytes.iter());
    let mut rows = match plan(&mut bytes) {
        None => vec![Vec::new(); bytes.below(4) + 1],
        Some(plan) => lowered(&plan, &mut bytes).into_rows(),
    };
    // An input of a kilobyte is long enough to spoil everything.
    for _ in 0..300 {
        if bytes.is_empty() {
            break;
        }
        spoil(&mut rows, &mut bytes);
    }
    Program::new(rows)
}

struct Bytes<'a>(std::slice::Iter<'a, u8>);

impl Bytes<'_> {
    fn is_empty(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % limit
    }

    /// Mostly a small number, sometimes one of the largest.
    fn id(&mut self) -> usize {
        match self.below(256) {
            255 => (1 << 16) - 1,
            254 => (1 << 13) - 1,
            small => small % 16,
        }
    }
}

fn plan(bytes: &mut Bytes<'_>) -> Option<Plan> {
    let kind = *Kind::ALL.get(bytes.below(Kind::ALL.len() + 1))?;
    let extent = Extent {
        num_ranks: bytes.below(5),
        stages_per_rank: match bytes.below(4) {
            0 => kind.stages_per_rank().usual(),
            number => number,
        },
        num_microbatches: bytes.below(12),
    };
    let plan = match generate(kind, &extent) {
        Ok(plan) => plan,
        Err(error) => {
            assert!(error.to_string().len() < 1000, "{error}");
            return None;
        }
    };
    Some(match bytes.below(8) {
        1 => plan.forward_only(),
        2 => recompute(&plan, Recompute::All),
        3 => recompute(&plan, Recompute::Stages(&[Stage::new(bytes.id()), Stage::new(0)])),
        4 => merge_backward(&plan),
        5 => {
            recompute(&plan, Recompute::EveryNth(NonZeroUsize::MIN.saturating_add(bytes.below(4))))
        }
        _ => plan,
    })
}

fn lowered(plan: &Plan, bytes: &mut Bytes<'_>) -> Program {
    let lowering = Lowering {
        sharding: [None, Some(Sharding::TORCH)][bytes.below(2)].clone(),
        reduce_grads: [ReduceGrads::Never, ReduceGrads::Immediate, ReduceGrads::Deferred]
            [bytes.below(3)],
        wait_sends: match bytes.below(4) {
            0 => WaitSends::Never,
            1 => WaitSends::WhenTaken,
            _ => WaitSends::AtMost(bytes.below(6)),
        },
        receives: [Receives::Early, Receives::Late, Receives::Deferred][bytes.below(3)],
        tied: (0..bytes.below(3))
            .map(|_| vec![Stage::new(bytes.id()), Stage::new(bytes.id())])
            .collect(),
        optimizer_steps: [OptimizerSteps::Never, OptimizerSteps::WhenReady, OptimizerSteps::AtEnd]
            [bytes.below(3)],
    };
    match lower_with(plan, &lowering) {
        Ok(program) => program,
        Err(error) => {
            assert!(error.to_string().len() < 10_000, "{error}");
            lower(plan)
        }
    }
}

/// Changes one thing.
fn spoil(rows: &mut Vec<Vec<Action>>, bytes: &mut Bytes<'_>) {
    let what = bytes.below(8);
    let rank = bytes.below(rows.len().max(1));
    let Some(row) = rows.get_mut(rank) else {
        rows.push(Vec::new());
        return;
    };
    let step = (bytes.below(256) * 256 + bytes.below(256)) % (row.len() + 1);
    match what {
        0 if step < row.len() => drop(row.remove(step)),
        1 if step < row.len() => row[step] = action(bytes),
        2 if step + 1 < row.len() => row.swap(step, step + 1),
        3 if step < row.len() => {
            let other = bytes.below(row.len());
            row.swap(step, other);
        }
        4 if step < row.len() => {
            let moved = row.remove(step);
            let to = bytes.below(rows.len());
            let to_step = bytes.below(rows[to].len() + 1);
            rows[to].insert(to_step, moved);
        }
        5 if step < row.len() => row.insert(step, row[step]),
        6 => match bytes.below(8) {
            0 => rows.push(Vec::new()),
            1 => drop(rows.remove(rank)),
            2 => row.truncate(step),
            _ => {}
        },
        _ => row.insert(step, action(bytes)),
    }
}

/// Any action.
fn action(bytes: &mut Bytes<'_>) -> Action {
    let number = bytes.below(18);
    let (stage, microbatch) = (Stage::new(bytes.id()), MicroBatch::new(bytes.id()));
    let compute = |op| Action::Compute(Compute { op, stage, microbatch });
    let transfer = |direction| Transfer { direction, stage, microbatch };
    match number {
        0 => compute(ComputeOp::Forward),
        1 => compute(ComputeOp::BackwardInput),
        2 => compute(ComputeOp::BackwardWeight),
        3 => compute(ComputeOp::Backward),
        4 => compute(ComputeOp::Recompute),
        5 => Action::Send(transfer(Direction::Forward)),
        6 => Action::Send(transfer(Direction::Backward)),
        7 => Action::Recv(transfer(Direction::Forward)),
        8 => Action::Recv(transfer(Direction::Backward)),
        9 => Action::WaitSend(transfer(Direction::Forward)),
        10 => Action::WaitSend(transfer(Direction::Backward)),
        11 => Action::Unshard(stage),
        12 => Action::Reshard(stage),
        13 => Action::ReduceGrad(stage),
        14 => Action::WaitReduceGrad(stage),
        15 => {
            let group = u16::try_from(microbatch.index()).expect("an id is below 2^16");
            Action::ReduceTied { stage, group }
        }
        16 => Action::OptimizerStep(stage),
        _ => {
            let backward = (Stage::new(bytes.id()), MicroBatch::new(bytes.id()));
            match Overlap::new((stage, microbatch), backward) {
                Some(overlap) => overlap.into(),
                None => compute(ComputeOp::Forward),
            }
        }
    }
}
