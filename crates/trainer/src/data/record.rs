//! What can be wrong with one record of a data file.

use std::fmt;
use std::path::PathBuf;

/// A record that cannot be learnt from, and where it is.
#[derive(Debug, thiserror::Error)]
#[error("{}:{place}: {fault}", path.display())]
pub struct RecordProblem {
    /// The file.
    pub path: PathBuf,
    /// Where in the file.
    pub place: RecordPlace,
    /// What is wrong.
    #[source]
    pub fault: RecordFault,
}

/// A place in a data file, as an editor would count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordPlace {
    /// In a file of lines: both counted from 1.
    Line {
        /// The line.
        line: u64,
        /// The column, in bytes.
        column: u64,
    },
    /// In a file of records: counted from 1.
    Record(u64),
}

impl fmt::Display for RecordPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, column } => write!(f, "{line}:{column}"),
            Self::Record(number) => write!(f, "record {number}"),
        }
    }
}

/// Why a record cannot be learnt from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// It is no JSON.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
}
