//! Makes the table of a named schedule; one file a schedule.

mod error;
mod gpipe;
mod kind;
mod one_f_one_b;
#[cfg(test)]
mod tests;

pub use error::{ExtentProblem, GenerateError};
pub use kind::{Kind, UnknownKind};

use crate::{Compute, ComputeOp, MicroBatch, Plan, Stage, Work};

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
/// # Errors
/// Everything about the size that the kind cannot do.
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
pub fn generate(kind: Kind, extent: &Extent) -> Result<Plan, GenerateError> {
    error::check(kind, extent)?;
    let row: fn(usize, &Extent) -> Row = match kind {
        Kind::GPipe => gpipe::row,
        Kind::OneFOneB => one_f_one_b::row,
    };
    let rows = (0..extent.num_ranks).map(|rank| row(rank, extent).cells).collect();
    Ok(Plan::from_rows(rows).expect("a schedule that is generated is right"))
}

/// A row of the table in the making.
struct Row {
    cells: Vec<Work>,
}

impl Row {
    fn new() -> Self {
        Self { cells: Vec::new() }
    }

    fn forward(&mut self, stage: usize, microbatch: usize) {
        self.compute(ComputeOp::Forward, stage, microbatch);
    }

    fn backward(&mut self, stage: usize, microbatch: usize) {
        self.compute(ComputeOp::Backward, stage, microbatch);
    }

    fn compute(&mut self, op: ComputeOp, stage: usize, microbatch: usize) {
        let (stage, microbatch) = (Stage::new(stage), MicroBatch::new(microbatch));
        self.cells.push(Compute { op, stage, microbatch }.into());
    }
}
