//! From plan to program: adds what the ranks have to send each other, and what else a run needs.
//!
//! Each pass is a function of its own; [`lower_observed`] runs them in their order.

mod defer_recv;
mod error;
mod late_recv;
mod merge_backward;
mod optimizer_steps;
mod options;
mod recompute;
mod reduce_grads;
mod send_budget;
mod send_recv;
mod slots;
#[cfg(test)]
mod tests;
mod ties;
mod turns;
mod unshard;
mod wait_sends;

pub use error::{LowerError, LowerProblem};
pub use merge_backward::merge_backward;
pub use options::{
    Lookahead, Lowering, OptimizerSteps, Receives, ReduceGrads, Sharding, WaitSends,
};
pub use recompute::{Recompute, recompute};

use crate::{Action, Plan, Program, Rank, Work};
use slots::Slots;

/// Adds sends and receives to a plan.
///
/// Wherever a stage's result is needed on another rank, its send follows the computation at once,
/// and the receive enters the other rank's row at the same moment of a run in which the ranks take
/// turns, one action each. So what one rank sends another arrives in the order in which it is
/// received, receives stand as early as possible, and the order is torch's.
///
/// # Examples
/// ```
/// use autopipe_schedule::{csv, lower};
///
/// let plan = csv::read_plan("0F0,,,0B0\n,1F0,1B0\n".as_bytes())?;
/// assert_eq!(
///     csv::program_to_string(&lower(&plan)),
///     "0F0,0SEND_F0,0RECV_B0,0B0\r\n1RECV_F0,1F0,1B0,1SEND_B0\r\n",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn lower(plan: &Plan) -> Program {
    let rows = plan.rows().iter().map(|row| row.iter().copied().map(Action::from)).collect();
    Program::new(send_and_receive(&Slots::new(plan), rows))
}

/// Adds what the options ask for.
///
/// # Errors
/// Everything in which the options are wrong for this plan; or, if they are not, that the sends of
/// a rank cannot be kept to the number given.
///
/// # Examples
/// ```
/// use autopipe_schedule::csv;
/// use autopipe_schedule::lower::{Lowering, lower_with};
///
/// let plan = csv::read_plan("0F0,0B0\n1F0,1B0\n".as_bytes())?;
/// let program = lower_with(&plan, &Lowering::TORCH)?;
/// assert_eq!(
///     csv::program_to_string(&program).lines().next(),
///     Some(
///         "0UNSHARD,0F0,0SEND_F0,0RECV_B0,0B0,0WAIT_SEND_F0,0REDUCE_GRAD,0WAIT_REDUCE_GRAD,\
///          0RESHARD"
///     ),
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn lower_with(plan: &Plan, lowering: &Lowering) -> Result<Program, LowerError> {
    lower_observed(plan, lowering, &mut |_, _| {})
}

/// Adds what the options ask for, and shows the program after each pass that they ask for, under
/// the pass's name.
///
/// # Errors
/// As [`lower_with`].
///
/// # Examples
/// ```
/// use autopipe_schedule::csv;
/// use autopipe_schedule::lower::{Lowering, lower_observed};
///
/// let plan = csv::read_plan("0F0,0B0\n1F0,1B0\n".as_bytes())?;
/// let mut names = Vec::new();
/// lower_observed(&plan, &Lowering::TORCH, &mut |name, _program| names.push(name))?;
/// assert_eq!(names, ["unshard", "reduce_grads", "send_recv", "wait_sends"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn lower_observed(
    plan: &Plan,
    lowering: &Lowering,
    observe: &mut dyn FnMut(&'static str, &Program),
) -> Result<Program, LowerError> {
    error::check(plan, lowering)?;
    let slots = &Slots::new(plan);
    let ranks = || (0..plan.num_ranks()).map(Rank::new);
    let mut show = |name, rows| {
        let program = Program::new(rows);
        observe(name, &program);
        program.into_rows()
    };

    let mut rows: Vec<Vec<Action>>;
    if let Some(sharding) = &lowering.sharding {
        let mut row = Vec::new();
        rows = ranks()
            .map(|rank| gather(unshard::Unshard::new(slots, rank, sharding), &mut row))
            .collect();
        rows = show("unshard", rows);
    } else {
        rows =
            plan.rows().iter().map(|row| row.iter().copied().map(Action::from).collect()).collect();
    }
    if lowering.reduce_grads != ReduceGrads::Never {
        let mut row = Vec::new();
        each(&mut rows, |rank, actions| {
            let actions = actions.into_iter();
            gather(reduce_grads::Reduce::new(slots, rank, lowering.reduce_grads, actions), &mut row)
        });
        rows = show("reduce_grads", rows);
    }
    rows = send_and_receive(slots, rows.into_iter().map(Vec::into_iter).collect());
    rows = show("send_recv", rows);
    if lowering.wait_sends != WaitSends::Never {
        each(&mut rows, |rank, row| wait_sends::add(slots, rank, &row));
        rows = show("wait_sends", rows);
    }
    match lowering.receives {
        Receives::Early => {}
        Receives::Late => {
            each(&mut rows, |rank, row| late_recv::delay(slots, rank, &row));
            rows = show("late_recv", rows);
        }
        Receives::Deferred => {
            each(&mut rows, |rank, row| defer_recv::defer(slots, rank, &row));
            rows = show("defer_recv", rows);
        }
    }
    if let WaitSends::AtMost(limit) = lowering.wait_sends {
        rows = send_budget::keep(slots, rows, limit)?;
        rows = show("send_budget", rows);
    }
    if plan.has_backward() && !lowering.tied.is_empty() {
        each(&mut rows, |rank, row| ties::add(plan, rank, &lowering.tied, row));
        rows = show("ties", rows);
    }
    if plan.has_backward() && lowering.optimizer_steps != OptimizerSteps::Never {
        each(&mut rows, |rank, row| optimizer_steps::add(slots, rank, lowering, row));
        rows = show("optimizer_steps", rows);
    }
    Ok(Program::new(rows))
}

/// The row of one rank, as [`lower_with`] makes it, without those of the others.
///
/// The turns of all ranks are counted, for the order of receives depends on them, but only one row
/// is kept. The exception is a limit on the sends under way: where a rank may wait depends on where
/// others do, so that all rows are made.
///
/// # Errors
/// As [`lower_with`].
///
/// # Panics
/// If the plan has no such rank, as with an index out of bounds.
///
/// # Examples
/// ```
/// use autopipe_schedule::lower::{Lowering, lower_row, lower_with};
/// use autopipe_schedule::{Rank, csv};
///
/// let plan = csv::read_plan("0F0,0B0\n1F0,1B0\n".as_bytes())?;
/// let row = lower_row(&plan, Rank::new(1), &Lowering::TORCH)?;
/// assert_eq!(row, lower_with(&plan, &Lowering::TORCH)?.rows()[1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn lower_row(plan: &Plan, rank: Rank, lowering: &Lowering) -> Result<Vec<Action>, LowerError> {
    assert!(
        rank.index() < plan.num_ranks(),
        "rank {rank} of a plan for {} ranks",
        plan.num_ranks()
    );
    if let WaitSends::AtMost(_) = lowering.wait_sends {
        return Ok(lower_with(plan, lowering)?.into_rows().swap_remove(rank.index()));
    }
    error::check(plan, lowering)?;
    let slots = &Slots::new(plan);
    let rows = (0..plan.num_ranks()).map(|other| own_actions(slots, Rank::new(other), lowering));
    let mut row = Vec::new();
    send_recv::add(slots, rows.collect(), |of, action| {
        if of == rank {
            row.push(action);
        }
    });
    if lowering.wait_sends != WaitSends::Never {
        row = wait_sends::add(slots, rank, &row);
    }
    row = match lowering.receives {
        Receives::Early => row,
        Receives::Late => late_recv::delay(slots, rank, &row),
        Receives::Deferred => defer_recv::defer(slots, rank, &row),
    };
    if plan.has_backward() {
        row = ties::add(plan, rank, &lowering.tied, row);
        row = optimizer_steps::add(slots, rank, lowering, row);
    }
    Ok(row)
}

/// What a rank does before anything is sent: its computations and what its own parameters need.
fn own_actions<'a>(
    slots: &'a Slots<'a>,
    rank: Rank,
    lowering: &Lowering,
) -> Box<dyn Iterator<Item = Action> + 'a> {
    let computed: Box<dyn Iterator<Item = Action> + 'a> = match &lowering.sharding {
        Some(sharding) => Box::new(unshard::Unshard::new(slots, rank, sharding)),
        None => Box::new(slots.plan.rows()[rank.index()].iter().copied().map(Action::from)),
    };
    match lowering.reduce_grads {
        ReduceGrads::Never => computed,
        mode @ (ReduceGrads::Immediate | ReduceGrads::Deferred) => {
            Box::new(reduce_grads::Reduce::new(slots, rank, mode, computed))
        }
    }
}

/// Runs the pass that no rank can run alone.
fn send_and_receive<I>(slots: &Slots<'_>, rows: Vec<I>) -> Vec<Vec<Action>>
where
    I: ExactSizeIterator<Item = Action>,
{
    let mut lowered: Vec<Vec<Action>> = (0..)
        .map(Rank::new)
        .zip(&rows)
        .map(|(rank, row)| Vec::with_capacity(send_recv::num_lowered(slots, rank, row.len())))
        .collect();
    send_recv::add(slots, rows, |rank, action| lowered[rank.index()].push(action));
    lowered
}

/// The plan of rows in which each rank has the order of a plan.
fn replanned(rows: Vec<Vec<Work>>) -> Plan {
    Plan::from_rows(rows).expect("what comes of each entry is needed by no earlier one")
}

/// Replaces each row by what a pass makes of it; a row goes as soon as it has been read.
fn each(rows: &mut [Vec<Action>], mut pass: impl FnMut(Rank, Vec<Action>) -> Vec<Action>) {
    for (rank, row) in rows.iter_mut().enumerate() {
        *row = pass(Rank::new(rank), std::mem::take(row));
    }
}

/// Collects a row whose length is not known before, without room to spare in the end.
fn gather(actions: impl Iterator<Item = Action>, row: &mut Vec<Action>) -> Vec<Action> {
    row.clear();
    row.extend(actions);
    row.as_slice().to_vec()
}
