//! What can be wrong with a file.

use crate::listing::lines;
use crate::{Action, ParseActionError, Violations};

/// Why a file is no table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CsvErrors {
    /// It cannot be read.
    #[error("the table cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// Cells hold what does not belong there: all such cells, at least one.
    #[error("{}", listed(.0))]
    Cells(Vec<CellError>),
    /// All cells are computations, but the table is wrong.
    #[error(transparent)]
    Invalid(#[from] Violations),
}

fn listed(cells: &[CellError]) -> String {
    match cells {
        [cell] => cell.to_string(),
        _ => lines(&format!("{} cells of the table are wrong", cells.len()), cells),
    }
}

/// A cell that does not belong into the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row}, column {column}: {problem}")]
pub struct CellError {
    /// The line, counted from 1 as an editor does; it is the rank's number plus 1.
    pub row: usize,
    /// The cell of the line, counted from 1.
    pub column: usize,
    /// What is wrong with it.
    pub problem: CellProblem,
}

/// What is wrong with a cell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CellProblem {
    /// It is no action.
    #[error(transparent)]
    Parse(#[from] ParseActionError),
    /// It is an action, in a table that is for computations only.
    #[error(
        "`{0}` is no computation, expected one as `2F0`; a table with sends and receives is read as a program"
    )]
    NoComputation(Action),
    /// It is empty, in a program.
    #[error("the cell is empty, expected an action; a program has no waits between its actions")]
    Empty,
}
