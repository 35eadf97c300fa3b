//! Checks a schedule against every rule there is, and says everything that it breaks.
//!
//! Ranks and stages (`placement.rs`)
//! - There is a rank, and there are no more ranks and actions than can be numbered.
//! - Every rank computes something.
//! - Every stage is on one rank; stages are numbered without a gap.
//!
//! Completeness (`once.rs`)
//! - Every stage computes every microbatch's forward once.
//! - If anything goes backward, every stage computes every microbatch's backward: one `B`, or one
//!   `I` and one `W`. If nothing does, the program is for evaluation.
//! - Nothing happens twice.
//!
//! Order on a rank (`order.rs`)
//! - The forward comes before the backward, and `I` before `W`.
//! - A receive comes before the computation that uses it, a send after the one that makes it.
//! - Of neighbouring stages on the same rank, the one that makes a tensor comes before the one that
//!   uses it.
//!
//! Transfers (`transfers.rs`)
//! - Whatever a stage needs from another rank is sent once there and received once here.
//! - Every send has its receive and every receive its send, on the ranks of their stages.
//! - Nothing is sent that is not made, not needed, or needed on the same rank.
//!
//! Messages between two ranks (`sequence.rs`)
//! - What one rank sends another is received in the order in which it is sent, so that a transport
//!   without tags delivers the right tensors.
//!
//! Stages as a whole (`whole.rs`)
//! - A stage that is ever unsharded is so wherever it computes, and resharded in the end.
//! - Gradients are reduced, waited for and used when they are complete, each once; what one stage
//!   does with them, all do.
//!
//! Progress (`progress.rs`; of plans, `fit.rs`)
//! - Every rank comes to its end, whether a transport buffers messages, hands them over when both
//!   sides are there, or keeps one queue for each rank. If not, there is a circle of ranks, each
//!   waiting for the next (`circle.rs`).
//!
//! `sequence.rs` and `progress.rs` look at matched messages, so they are checked once the rules
//! before them hold. What is right is proved in one pass (`proof.rs`); the rules are for what is
//! not.

#[cfg(test)]
mod agreement;
mod circle;
mod fit;
mod index;
mod once;
mod order;
mod placement;
mod progress;
mod proof;
mod rule;
mod sequence;
#[cfg(test)]
mod tests;
mod transfers;
mod valid_program;
mod violation;
mod whole;

pub use rule::{Part, Rule};
pub use valid_program::ValidProgram;
pub use violation::{Located, Violation, Violations, Wait};

use crate::{Action, Communication, Placement, Program, Work};
use index::Index;
use proof::Level;

/// Checks a program.
///
/// # Errors
/// Every violation of the rules, each with its place, and the table to show them in. Linear in the
/// number of actions, but for sorting; whatever the program claims to be, no more memory is used
/// than its actions call for.
///
/// # Examples
/// ```
/// use autopipe_schedule::{csv, validate};
///
/// let program = csv::read_program("0F0,0B0,0SEND_F0\n1RECV_F0,1F0,1B0,1SEND_B0\n".as_bytes())?;
/// let violations = validate(program).unwrap_err();
/// assert_eq!(
///     violations.to_string(),
///     "the schedule breaks 2 rules
/// - rank 0, step 1, 0B0: needs a gradient of rank 1; receive it before with 0RECV_B0
/// - rank 1, step 3, 1SEND_B0: is never received; add 0RECV_B0 on rank 0",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn validate(program: Program) -> Result<ValidProgram, Violations> {
    match prove(program.rows()) {
        Some(facts) => Ok(ValidProgram::new(program, facts)),
        None => explain(program),
    }
}

/// What the rules establish about a whole table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) placement: Placement,
    pub(crate) num_microbatches: usize,
    pub(crate) has_backward: bool,
    /// By rank.
    pub(crate) peak_activations: Vec<usize>,
}

/// The quick way to accept a program.
fn prove(rows: &[Vec<Action>]) -> Option<Facts> {
    let facts = proof::prove(rows, Level::Program, |action| action)?;
    progress::run(rows, &facts, Communication::Nccl).is_none().then_some(facts)
}

/// The quick way to accept a plan.
pub(crate) fn prove_plan(rows: &[Vec<Work>]) -> Option<Facts> {
    let facts = proof::prove(rows, Level::Plan, Action::from)?;
    fit::run(rows, &facts, Some).is_ok().then_some(facts)
}

/// Looks at a program rule by rule.
fn explain(program: Program) -> Result<ValidProgram, Violations> {
    let mut found = Vec::new();
    let facts = {
        let rows = program.rows();
        if let Err(violation) = placement::check_size(rows) {
            return Err(Violations::new(vec![violation], rows_of(program)));
        }
        let index = Index::new(rows.iter().map(|row| row.iter().copied().map(Some)));
        check_computes(&index, &mut found);
        transfers::check(&index, &mut found);
        whole::check(&index, &mut found);
        let facts = index.facts();
        if let (Some(facts), true) = (&facts, found.is_empty()) {
            sequence::check(rows, &facts.placement, &mut found);
            if found.is_empty() {
                found.extend(deadlock(rows, facts));
            }
        }
        facts
    };
    match facts {
        Some(facts) if found.is_empty() => Ok(ValidProgram::new(program, facts)),
        _ => Err(Violations::new(found, rows_of(program))),
    }
}

/// Why no rank can go on, on the most patient transport that stops.
fn deadlock(rows: &[Vec<Action>], facts: &Facts) -> Option<Violation> {
    Communication::ALL.into_iter().find_map(|communication| {
        let waits = progress::run(rows, facts, communication)?.circle();
        Some(stopped(communication, waits))
    })
}

fn stopped(communication: Communication, waits: Vec<Wait>) -> Violation {
    let at = waits.iter().flat_map(|wait| [wait.at, wait.needs]).collect();
    Violation { at, rule: Rule::Deadlock { communication, waits } }
}

/// Checks the rules for computations alone, of a table that has nothing else.
pub(crate) fn explain_plan<T: Copy>(
    rows: &[Vec<T>],
    action: impl Fn(&T) -> Option<Action> + Copy,
) -> Result<Facts, Violations> {
    let rows_of = || rows.iter().map(|row| row.iter().map(action).collect()).collect();
    if let Err(violation) = placement::check_size(rows) {
        return Err(Violations::new(vec![violation], rows_of()));
    }
    let mut found = Vec::new();
    let index = Index::new(rows.iter().map(|row| row.iter().map(action)));
    check_computes(&index, &mut found);
    let facts = index.facts();
    if let (Some(facts), true) = (&facts, found.is_empty()) {
        let work = |entry: T| action(&entry).and_then(Action::work);
        if let Err(waits) = fit::run(rows, facts, work) {
            found.push(stopped(Communication::Async, waits));
        }
    }
    match facts {
        Some(facts) if found.is_empty() => Ok(facts),
        _ => Err(Violations::new(found, rows_of())),
    }
}

fn check_computes(index: &Index, found: &mut Vec<Violation>) {
    placement::check(index, found);
    once::check(index, found);
    order::check(index, found);
}

fn rows_of(program: Program) -> Vec<Vec<Option<Action>>> {
    program.into_rows().into_iter().map(|row| row.into_iter().map(Some).collect()).collect()
}
