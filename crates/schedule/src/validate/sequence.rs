//! The rule that messages between two ranks keep their order.

use std::collections::{BTreeMap, VecDeque};

use super::{Located, Rule, Violation};
use crate::{Action, Placement, Rank};

/// Checks matched messages: every send of `rows` has its receive. One violation for every two ranks
/// is enough, for after the first nothing fits.
pub(super) fn check(rows: &[Vec<Action>], placement: &Placement, found: &mut Vec<Violation>) {
    let mut sent = messages(rows, placement);
    for (to, row) in rows.iter().enumerate() {
        let to = Rank::new(to);
        for (step, &action) in row.iter().enumerate() {
            let (Action::Recv(_), Some(send)) = (action, action.counterpart()) else { continue };
            let Some(stage) = send.stage() else { continue };
            let from = placement.rank_of(stage);
            let Some(queue) = sent.get_mut(&(from, to)) else { continue };
            let next = queue.pop_front().expect("matched: every receive has its send");
            if next.action != send {
                let at = vec![Located { rank: to, step, action }, next];
                found.push(Violation { at, rule: Rule::OutOfSequence { to, sent: next } });
                sent.remove(&(from, to));
            }
        }
    }
}

/// What each rank sends each other, in its order.
fn messages(
    rows: &[Vec<Action>],
    placement: &Placement,
) -> BTreeMap<(Rank, Rank), VecDeque<Located>> {
    let mut sent: BTreeMap<_, VecDeque<Located>> = BTreeMap::new();
    for (rank, row) in rows.iter().enumerate() {
        let rank = Rank::new(rank);
        for (step, &action) in row.iter().enumerate() {
            if let Action::Send(transfer) = action {
                let to = placement.rank_of(transfer.receiver());
                sent.entry((rank, to)).or_default().push_back(Located { rank, step, action });
            }
        }
    }
    sent
}
