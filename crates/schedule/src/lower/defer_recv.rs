//! The pass that moves receives back to where they are needed: torch's `_defer_recv_ops`.

use std::collections::{BTreeMap, VecDeque};

use super::slots::{Slots, moved_by};
use crate::{Action, Rank, Transfer};

/// Puts each receive directly before the computation that takes in its tensors. But before it sends
/// to a rank with a higher number, a rank posts all receives from there: of two ranks that send to
/// each other, the lower receives first.
pub(super) fn defer(slots: &Slots<'_>, rank: Rank, row: &[Action]) -> Vec<Action> {
    let mut lowered = Vec::with_capacity(row.len());
    let mut is_deferred = vec![false; slots.num_transfers(rank)];
    // By rank, of the higher ranks: what comes from there, in order; what has been posted since,
    // is still in it.
    let mut queues: BTreeMap<Rank, VecDeque<Transfer>> = BTreeMap::new();
    for &action in row {
        if let Action::Recv(recv) = action {
            is_deferred[slots.transfer(recv)] = true;
            if let Some((peer, _)) = slots.sent_as(recv).filter(|&(peer, _)| peer > rank) {
                queues.entry(peer).or_default().push_back(recv);
            }
            continue;
        }
        if let Action::Send(send) = action
            && let Some((peer, _)) = slots.received_as(send)
            && let Some(queue) = queues.get_mut(&peer)
        {
            for recv in queue.drain(..) {
                if std::mem::take(&mut is_deferred[slots.transfer(recv)]) {
                    lowered.push(Action::Recv(recv));
                }
            }
        }
        for recv in action.computes().filter_map(moved_by) {
            if std::mem::take(&mut is_deferred[slots.transfer(recv)]) {
                lowered.push(Action::Recv(recv));
            }
        }
        lowered.push(action);
    }
    lowered
}
