//! The compute-only table: what each rank computes and in which order, before anything is sent.

#[cfg(test)]
mod tests;

use crate::validate::{self, Facts};
use crate::{Action, Compute, ComputeOp, Placement, Violations, Work};

/// A schedule's computations, proved right: one row a rank, in the order in which it computes.
///
/// Every stage has its one rank, and there computes each microbatch exactly once in the right
/// order, forward and then backward (`B`, or `I` and later `W`) or forward only. And the rows fit
/// together: no ranks wait for each other in a circle.
///
/// Only the order counts, so there are no idle cells: where a rank waits follows from what it waits
/// for. [`timetable`](crate::timetable) lays the rows out in columns, for people and for files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    rows: Vec<Vec<Work>>,
    facts: Facts,
}

impl Plan {
    /// Checks rows, row `r` being rank `r`'s.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    ///
    /// # Examples
    /// ```
    /// use autopipe_schedule::{Action, Plan, Work};
    ///
    /// let work = |text: &str| text.parse::<Action>().unwrap().work().unwrap();
    /// let rows = [["0F0", "0B0"], ["1F0", "1B0"]].map(|row| row.map(work).to_vec());
    /// let plan = Plan::from_rows(rows.to_vec())?;
    /// assert_eq!((plan.num_stages(), plan.num_microbatches()), (2, 1));
    /// # Ok::<(), autopipe_schedule::Violations>(())
    /// ```
    pub fn from_rows(rows: Vec<Vec<Work>>) -> Result<Self, Violations> {
        let facts = match validate::prove_plan(&rows) {
            Some(facts) => facts,
            None => validate::explain_plan(&rows, |&work| Some(Action::from(work)))?,
        };
        Ok(Self { rows, facts })
    }

    /// As [`from_rows`](Self::from_rows), of a table with idle cells. They go, but the steps of
    /// violations count them.
    ///
    /// # Errors
    /// Everything that is wrong with the table.
    pub fn from_cells(cells: Vec<Vec<Option<Work>>>) -> Result<Self, Violations> {
        let dense = |row: &Vec<Option<Work>>| row.iter().copied().flatten().collect();
        let rows: Vec<Vec<Work>> = cells.iter().map(dense).collect();
        let facts = match validate::prove_plan(&rows) {
            Some(facts) => facts,
            None => validate::explain_plan(&cells, |cell| cell.map(Action::from))?,
        };
        Ok(Self { rows, facts })
    }

    /// The same forwards in the same order, without backwards: what an evaluation computes.
    #[must_use]
    pub fn forward_only(&self) -> Self {
        let is_forward = |compute: &Compute| compute.op == ComputeOp::Forward;
        let forwards = |row: &Vec<Work>| {
            let computes = row.iter().flat_map(|work| work.parts());
            computes.filter(is_forward).map(Work::Compute).collect()
        };
        let peak_activations = vec![0; self.rows.len()];
        let facts = Facts { has_backward: false, peak_activations, ..self.facts.clone() };
        Self { rows: self.rows.iter().map(forwards).collect(), facts }
    }

    /// What each rank computes, in order.
    #[must_use]
    pub fn rows(&self) -> &[Vec<Work>] {
        &self.rows
    }

    /// The rows, to take away and change.
    #[must_use]
    pub fn into_rows(self) -> Vec<Vec<Work>> {
        self.rows
    }

    /// Which rank holds which stages.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        &self.facts.placement
    }

    /// How many ranks there are, at least 1.
    #[must_use]
    pub fn num_ranks(&self) -> usize {
        self.rows.len()
    }

    /// How many stages there are, at least as many as ranks.
    #[must_use]
    pub fn num_stages(&self) -> usize {
        self.facts.placement.num_stages()
    }

    /// How many microbatches every stage computes, at least 1.
    #[must_use]
    pub fn num_microbatches(&self) -> usize {
        self.facts.num_microbatches
    }

    /// Whether it trains; if not, it only goes forward.
    #[must_use]
    pub fn has_backward(&self) -> bool {
        self.facts.has_backward
    }

    /// The most activations that each rank ever holds, whatever its computations cost: pairs of
    /// stage and microbatch from their forward to their `B` or `W`. An evaluation holds none.
    #[must_use]
    pub fn peak_activations(&self) -> &[usize] {
        &self.facts.peak_activations
    }
}
