//! The compute-only table: what each rank computes and when, before anything is sent.

#[cfg(test)]
mod tests;

use crate::{Compute, ComputeOp, Placement, Violations, validate};

/// A complete compute table: one row a rank, one cell a step, an empty cell a wait.
///
/// Complete means: every stage has its one rank, and there computes each microbatch exactly once in
/// the right order, forward and then backward (`B`, or `I` and later `W`) or forward only. What a
/// plan does not promise is that the rows fit together across ranks; [`lower`](crate::lower) finds
/// that out.
///
/// Idle cells are for the eye. The order of a row counts, not its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    rows: Vec<Vec<Option<Compute>>>,
    placement: Placement,
    num_microbatches: usize,
    has_backward: bool,
}

impl Plan {
    /// Checks a table, row `r` being rank `r`'s.
    ///
    /// # Errors
    /// Everything in which the table is not complete.
    ///
    /// # Examples
    /// ```
    /// use autopipe_schedule::{Action, Compute, Plan};
    ///
    /// let cell = |text: &str| match text.parse() {
    ///     Ok(Action::Compute(compute)) => Some(compute),
    ///     _ => None,
    /// };
    /// let rows = vec![
    ///     vec![cell("0F0"), None, None, cell("0B0")],
    ///     vec![None, cell("1F0"), cell("1B0")],
    /// ];
    /// let plan = Plan::from_rows(rows)?;
    /// assert_eq!((plan.num_stages(), plan.num_microbatches()), (2, 1));
    /// # Ok::<(), autopipe_schedule::Violations>(())
    /// ```
    pub fn from_rows(rows: Vec<Vec<Option<Compute>>>) -> Result<Self, Violations> {
        let facts = validate::compute_table(&rows)?;
        Ok(Self {
            rows,
            placement: facts.placement,
            num_microbatches: facts.num_microbatches,
            has_backward: facts.has_backward,
        })
    }

    /// A table that is complete by its making: forward and backward of `num_microbatches`.
    pub(crate) fn generated(
        rows: Vec<Vec<Option<Compute>>>,
        placement: Placement,
        num_microbatches: usize,
    ) -> Self {
        Self { rows, placement, num_microbatches, has_backward: true }
    }

    /// The same forwards in the same order, without backwards and without waits: what an evaluation
    /// computes.
    #[must_use]
    pub fn forward_only(&self) -> Self {
        let forwards = |row: &Vec<Option<Compute>>| {
            row.iter()
                .filter(|cell| cell.is_some_and(|c| c.op == ComputeOp::Forward))
                .copied()
                .collect()
        };
        Self {
            rows: self.rows.iter().map(forwards).collect(),
            placement: self.placement.clone(),
            num_microbatches: self.num_microbatches,
            has_backward: false,
        }
    }

    /// The cells by rank, then by step. Rows may differ in length.
    #[must_use]
    pub fn rows(&self) -> &[Vec<Option<Compute>>] {
        &self.rows
    }

    /// Which rank holds which stages.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// How many ranks there are, at least 1.
    #[must_use]
    pub fn num_ranks(&self) -> usize {
        self.rows.len()
    }

    /// How many stages there are, at least as many as ranks.
    #[must_use]
    pub fn num_stages(&self) -> usize {
        self.placement.num_stages()
    }

    /// How many microbatches every stage computes, at least 1.
    #[must_use]
    pub fn num_microbatches(&self) -> usize {
        self.num_microbatches
    }

    /// Whether it trains; if not, it only goes forward.
    #[must_use]
    pub fn has_backward(&self) -> bool {
        self.has_backward
    }
}
