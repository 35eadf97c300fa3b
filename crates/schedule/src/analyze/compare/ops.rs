//! What each operation takes on the mean, measured and simulated.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Difference;
use crate::{Action, ComputeOp, Work};

/// One operation, measured and simulated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OpDifference {
    /// Which: `F`, `I`, `W`, `B` or `R`, or the word of an overlap.
    pub op: &'static str,
    /// How many of them both timelines have.
    pub count: usize,
    /// How long one takes on the mean.
    pub measured_time: f64,
    /// How long one should take.
    pub simulated_time: f64,
}

impl OpDifference {
    /// How much longer one takes than simulated.
    #[must_use]
    pub fn time_error(&self) -> f64 {
        self.measured_time - self.simulated_time
    }
}

pub(super) fn of<'a>(actions: impl Iterator<Item = &'a Difference>) -> Vec<OpDifference> {
    let mut sums: BTreeMap<usize, OpDifference> = BTreeMap::new();
    for one in actions {
        let Some((place, op)) = name(one.measured.action) else { continue };
        let sum = sums.entry(place).or_insert(OpDifference {
            op,
            count: 0,
            measured_time: 0.0,
            simulated_time: 0.0,
        });
        sum.count += 1;
        // A mean that goes along, so that no sum grows beyond what a number can be.
        let part = 1.0 / sum.count as f64;
        sum.measured_time += part * (one.measured.duration() - sum.measured_time);
        sum.simulated_time += part * (one.simulated.duration() - sum.simulated_time);
    }
    sums.into_values().collect()
}

/// An operation's place in the list, and what it is called.
fn name(action: Action) -> Option<(usize, &'static str)> {
    Some(match action.work()? {
        Work::Compute(compute) => match compute.op {
            ComputeOp::Forward => (0, "F"),
            ComputeOp::Recompute => (1, "R"),
            ComputeOp::BackwardInput => (2, "I"),
            ComputeOp::BackwardWeight => (3, "W"),
            ComputeOp::Backward => (4, "B"),
        },
        Work::Overlap(_) => (5, "OVERLAP_F_B"),
    })
}
