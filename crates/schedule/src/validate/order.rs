//! Rules about the order on a rank.

use std::cmp::Ordering;

use super::index::{
    B, Deed, F, I, Index, R, RECV_B, RECV_F, SEND_B, SEND_F, W, WAIT_SEND_B, WAIT_SEND_F,
};
use super::{Located, Rule, Violation};

/// On a stage, what comes before what.
const BEFORE: [(Deed, Deed); 14] = [
    (RECV_F, F),
    (F, SEND_F),
    (F, B),
    (F, I),
    (I, W),
    (RECV_B, B),
    (RECV_B, I),
    (B, SEND_B),
    (I, SEND_B),
    (SEND_F, WAIT_SEND_F),
    (SEND_B, WAIT_SEND_B),
    (F, R),
    (R, B),
    (R, I),
];

/// Either makes the gradient that the stage before needs, and needs that of the stage behind.
const BACKWARDS: [Deed; 2] = [B, I];

pub(super) fn check(index: &Index, found: &mut Vec<Violation>) {
    for stage in 0..index.num_stages() {
        for cell in index.cells(stage) {
            for (first, then) in BEFORE {
                compare(cell.get(first), cell.get(then), found);
            }
        }
    }
    // A stage and the next, which may be on the same rank.
    for stage in 0..index.num_stages() {
        for (lower, upper) in index.neighbours(stage) {
            let (Some(lower), Some(upper)) = (lower, upper) else { continue };
            compare(lower.get(F), upper.get(F), found);
            for first in BACKWARDS {
                for then in BACKWARDS {
                    compare(upper.get(first), lower.get(then), found);
                }
            }
        }
    }
}

/// Two actions of which one needs the other. On different ranks they have no order.
fn compare(needs: Option<Located>, then: Option<Located>, found: &mut Vec<Violation>) {
    let (Some(needs), Some(then)) = (needs, then) else { return };
    if needs.rank != then.rank {
        return;
    }
    let rule = match then.step.cmp(&needs.step) {
        Ordering::Less => Rule::TooEarly { needs },
        // Two computations in one step are the parts of an overlap.
        Ordering::Equal => Rule::DependentOverlap { needs },
        Ordering::Greater => return,
    };
    found.push(Violation { at: vec![then, needs], rule });
}
