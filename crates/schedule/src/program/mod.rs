//! The lowered table: what each rank does, sends and receives included, not yet checked.

use crate::Action;

/// The actions of every rank in their order, whatever they are worth.
///
/// [`lower`](crate::lower()) makes one from a plan, [`csv::read_program`](crate::csv::read_program)
/// takes one from a file, and [`new`](Self::new) takes any. Nothing is known about it until
/// [`validate`](crate::validate()) has turned it into a [`ValidProgram`](crate::ValidProgram).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    rows: Vec<Vec<Action>>,
}

impl Program {
    /// A program of these rows, row `r` being rank `r`'s.
    #[must_use]
    pub fn new(rows: Vec<Vec<Action>>) -> Self {
        Self { rows }
    }

    /// The actions by rank, in order.
    #[must_use]
    pub fn rows(&self) -> &[Vec<Action>] {
        &self.rows
    }

    /// The actions by rank, in order, to take away and change.
    #[must_use]
    pub fn into_rows(self) -> Vec<Vec<Action>> {
        self.rows
    }
}
