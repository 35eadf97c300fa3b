//! From plan to program: adds what the ranks have to send each other.

mod send_recv;
#[cfg(test)]
mod tests;

use crate::{Plan, Program};

/// Adds sends and receives to a plan; idle cells go.
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
/// let program = lower(&plan);
/// assert_eq!(
///     csv::program_to_string(&program),
///     "0F0,0SEND_F0,0RECV_B0,0B0\r\n1RECV_F0,1F0,1B0,1SEND_B0\r\n",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn lower(plan: &Plan) -> Program {
    send_recv::add(plan)
}
