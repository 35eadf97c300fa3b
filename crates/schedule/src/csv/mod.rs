//! Tables as comma-separated values, as torch's `_dump_csv` writes them.
//!
//! Line `r` is rank `r`, a cell an action, an empty cell a wait. There is no header, and lines may
//! have different lengths. Lines end in CR LF when written, in CR LF or LF when read; spaces around
//! cells, quotes, a byte order mark and, at the end, lines without an action are read over.
//!
//! A plan is what torch calls `compute_only`; a program is a `compute_comms` table of the actions
//! that [`Action`](crate::Action) has.

mod error;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use error::{CellError, CellProblem, CsvErrors};
pub use read::{read_plan, read_program};
pub use write::{plan_to_string, program_to_string, write_plan, write_program};
