//! The evidence that a program breaks no rule.

use super::{Facts, Located, Rule, Violation, Violations};
use crate::{Action, ComputeOp, Placement, Program, Rank, Stage};

/// A program that breaks none of the rules: each rank can run its row as it stands, and all come to
/// their ends.
///
/// There is no way to get one but [`validate`](crate::validate()), and only one of these can be
/// simulated:
///
/// ```compile_fail,E0308
/// use autopipe_schedule::{Costs, Program, simulate};
///
/// let unchecked = Program::new(Vec::new());
/// simulate(&unchecked, &Costs::UNIT);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidProgram {
    program: Program,
    facts: Facts,
}

impl ValidProgram {
    /// Puts the evidence together, for `validate` alone.
    pub(super) fn new(program: Program, facts: Facts) -> Self {
        Self { program, facts }
    }

    #[cfg(test)]
    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Proves besides that no rank ever holds more than `limit` activations.
    ///
    /// # Errors
    /// A violation for each rank that holds more, at the first forward that is too much.
    pub fn within(self, limit: usize) -> Result<Self, Violations> {
        let over = |&rank: &Rank| self.facts.peak_activations[rank.index()] > limit;
        let violations: Vec<Violation> = (0..self.num_ranks())
            .map(Rank::new)
            .filter(over)
            .map(|rank| {
                let peak = self.facts.peak_activations[rank.index()];
                let rule = Rule::TooManyActivations { rank, peak, limit };
                Violation { at: self.first_beyond(rank, limit).into_iter().collect(), rule }
            })
            .collect();
        if violations.is_empty() {
            Ok(self)
        } else {
            Err(Violations::new(violations, super::rows_of(self.program)))
        }
    }

    fn first_beyond(&self, rank: Rank, limit: usize) -> Option<Located> {
        let mut alive = 0;
        self.row(rank).iter().enumerate().find_map(|(step, &action)| {
            for compute in action.computes() {
                if compute.op == ComputeOp::Forward {
                    alive += 1;
                } else if compute.op.frees() {
                    alive -= 1;
                }
                if alive > limit {
                    return Some(Located { rank, step, action });
                }
            }
            None
        })
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
        &self.facts.placement
    }

    /// The stages of a rank, ascending; empty if there is no such rank.
    #[must_use]
    pub fn stages_of(&self, rank: Rank) -> &[Stage] {
        self.facts.placement.stages_of(rank)
    }

    /// How many ranks there are, at least 1.
    #[must_use]
    pub fn num_ranks(&self) -> usize {
        self.rows().len()
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
