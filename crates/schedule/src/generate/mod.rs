//! Makes the rows of a named schedule; one file a schedule.

mod block;
mod dual_pipe_v;
mod error;
mod gpipe;
mod hanayo;
mod interleaved_one_f_one_b;
mod interleaved_zero_bubble;
mod kind;
mod looped_bfs;
mod one_f_one_b;
mod rounds;
mod row;
mod spec;
#[cfg(test)]
mod tests;
mod unknown;
mod v_half;
mod v_min;
mod zb_h1;
mod zb_h2;
mod zbv_zero_bubble;

pub use error::{ExtentProblem, GenerateError};
pub use kind::Kind;
pub use spec::{BackwardStyle, MicrobatchRule, StagesPerRank, Summary};
pub use unknown::UnknownKind;

use crate::Plan;

/// How large a schedule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// How many ranks share out the model.
    pub num_ranks: usize,
    /// How many stages each rank has.
    pub stages_per_rank: usize,
    /// How many microbatches a step's batch is cut into.
    pub num_microbatches: usize,
}

/// Makes the plan of a schedule of this kind and size.
///
/// The kinds that torch has are as torch 2.15 executes them: the same actions in the same order on
/// every rank. Takes time in proportion to the number of actions.
///
/// # Errors
/// Everything about the size that the kind cannot do. Of torch's kinds, these are the sizes that
/// torch refuses, and those that are larger than the ids or the memory that a plan may take.
///
/// # Examples
/// ```
/// use autopipe_schedule::{Extent, Kind, generate, table};
///
/// let extent = Extent { num_ranks: 2, stages_per_rank: 1, num_microbatches: 2 };
/// let plan = generate(Kind::OneFOneB, &extent)?;
/// assert_eq!(
///     table(&plan),
///     "        Rank 0 Rank 1
/// Step 0: 0F0
/// Step 1: 0F1    1F0
/// Step 2:        1B0
/// Step 3: 0B0    1F1
/// Step 4:        1B1
/// Step 5: 0B1
/// ",
/// );
/// # Ok::<(), autopipe_schedule::GenerateError>(())
/// ```
#[expect(clippy::missing_panics_doc, reason = "every kind's rows are tested to be right")]
pub fn generate(kind: Kind, extent: &Extent) -> Result<Plan, GenerateError> {
    error::check(kind, extent)?;
    let rows = (kind.spec().rows)(extent);
    Ok(Plan::from_rows(rows).expect("a schedule that is generated is right"))
}
