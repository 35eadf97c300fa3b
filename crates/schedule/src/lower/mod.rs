//! From plan to program: adds what the ranks have to send each other.

mod send_recv;
#[cfg(test)]
mod tests;

use crate::listing::lines;
use crate::{Compute, Plan, Program, Rank};

/// Adds sends and receives to a plan; idle cells go.
///
/// Wherever a stage's result is needed on another rank, its send follows the computation at once,
/// and the receive enters the other rank's row at the same moment of a run in which the ranks take
/// turns, one action each. So what one rank sends another arrives in the order in which it is
/// received, receives stand as early as possible, and the order is torch's.
///
/// # Errors
/// If no rank can go on, because each waits for another.
///
/// # Examples
/// ```
/// use autopipe_schedule::{csv, lower};
///
/// let plan = csv::read_plan("0F0,,,0B0\n,1F0,1B0\n".as_bytes())?;
/// let program = lower(&plan)?;
/// assert_eq!(
///     csv::program_to_string(&program),
///     "0F0,0SEND_F0,0RECV_B0,0B0\r\n1RECV_F0,1F0,1B0,1SEND_B0\r\n",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn lower(plan: &Plan) -> Result<Program, LowerError> {
    send_recv::add(plan)
}

/// The rows of a plan do not fit together: from some point no rank can go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines("no rank can go on, put what is waited for earlier", .waits))]
pub struct LowerError {
    /// What every rank waits for that is not done, by rank.
    pub waits: Vec<Wait>,
}

/// A rank that cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rank {rank} waits at step {step} with {next} for {needs} of rank {of}")]
pub struct Wait {
    /// Who waits.
    pub rank: Rank,
    /// The step of the plan's row at which it stands, idle cells counted, from 0.
    pub step: usize,
    /// What it would compute next.
    pub next: Compute,
    /// What has to be computed before.
    pub needs: Compute,
    /// The rank whose task that is.
    pub of: Rank,
}
