//! What breaks a rule, where, and how to mend it.

use std::fmt;

use super::Rule;
use crate::listing::lines;
use crate::table::marked;
use crate::{Action, Rank};

/// An action and its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Located {
    /// The row.
    pub rank: Rank,
    /// The cell of the row, from 0; in a plan idle cells count.
    pub step: usize,
    /// What stands there.
    pub action: Action,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rank {}, step {})", self.action, self.rank, self.step)
    }
}

/// A rank that waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Where it stands: an action that cannot start, or the message at the head of its queue.
    pub at: Located,
    /// What has to come before, on the other rank.
    pub needs: Located,
}

/// One rule broken once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The actions at fault, the one to change first; none if the fault is that there is nothing.
    pub at: Vec<Located>,
    /// The rule that is broken, and how.
    pub rule: Rule,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Located { rank, step, action }) = self.at.first() {
            write!(f, "rank {rank}, step {step}, {action}: ")?;
        }
        self.rule.fmt(f)
    }
}

/// Everything that a table breaks, and the table.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", listed(.violations))]
pub struct Violations {
    violations: Vec<Violation>,
    rows: Vec<Vec<Option<Action>>>,
}

impl fmt::Debug for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Violations").field(&self.violations).finish()
    }
}

impl Violations {
    pub(super) fn new(violations: Vec<Violation>, rows: Vec<Vec<Option<Action>>>) -> Self {
        Self { violations, rows }
    }

    /// All of them, at least one; those of a rule together.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Violation> {
        self.violations.iter()
    }

    /// The table around the actions at fault, each marked `<-- here`: the ranks concerned, and of
    /// their steps those nearby.
    #[must_use]
    pub fn marked_table(&self) -> String {
        let marks = self.violations.iter().flat_map(|violation| &violation.at);
        marked(&self.rows, marks.map(|at| (at.rank.index(), at.step)))
    }
}

fn listed(violations: &[Violation]) -> String {
    match violations {
        [violation] => violation.to_string(),
        _ => lines(&format!("the schedule breaks {} rules", violations.len()), violations),
    }
}
