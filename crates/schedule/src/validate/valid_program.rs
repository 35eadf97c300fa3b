//! The evidence that a program breaks no rule.

use super::Facts;
use crate::{Action, Placement, Program, Rank, Stage};

/// A program that breaks none of the rules: each rank can run its row as it stands, and all come to
/// their ends.
///
/// There is no way to get one but [`validate`](crate::validate()), and only one of these can be
/// simulated:
///
/// ```compile_fail,E0308
/// use autopipe_schedule::{Cost, Program, simulate};
///
/// let unchecked = Program::new(Vec::new());
/// simulate(&unchecked, &Cost::UNIT);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidProgram {
    program: Program,
    placement: Placement,
    num_microbatches: usize,
    has_backward: bool,
}

impl ValidProgram {
    /// Puts the evidence together, for `validate` alone.
    pub(super) fn new(program: Program, facts: Facts) -> Self {
        let Facts { placement, num_microbatches, has_backward } = facts;
        Self { program, placement, num_microbatches, has_backward }
    }

    /// The program, to print or to write.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The actions by rank, in order.
    #[must_use]
    pub fn rows(&self) -> &[Vec<Action>] {
        self.program.rows()
    }

    /// The actions of a rank, in order; empty if there is no such rank.
    #[must_use]
    pub fn row(&self, rank: Rank) -> &[Action] {
        self.rows().get(rank.index()).map_or(&[], Vec::as_slice)
    }

    /// Which rank holds which stages.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The stages of a rank, ascending; empty if there is no such rank.
    #[must_use]
    pub fn stages_of(&self, rank: Rank) -> &[Stage] {
        self.placement.stages_of(rank)
    }

    /// How many ranks there are, at least 1.
    #[must_use]
    pub fn num_ranks(&self) -> usize {
        self.rows().len()
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
