//! The pass that adds a wait for every send: torch's `_add_wait_send`.

use super::slots::{Slots, moved_by};
use crate::{Action, Direction, Rank, Transfer};

/// Waits for a send of activations behind the backward of the same stage and microbatch: their
/// gradient has come back, so they must have been taken, and the wait costs nothing. All other
/// waits stand at the end, in the order of the sends.
pub(super) fn add(slots: &Slots<'_>, rank: Rank, row: &[Action]) -> Vec<Action> {
    let num_sends = row.iter().filter(|action| matches!(action, Action::Send(_))).count();
    let mut lowered = Vec::with_capacity(row.len() + num_sends);
    let mut is_pending = vec![false; slots.num_transfers(rank)];
    for &action in row {
        lowered.push(action);
        if let Action::Send(send) = action {
            is_pending[slots.transfer(send)] = true;
        }
        for back in action.computes().filter_map(moved_by) {
            if back.direction == Direction::Forward {
                continue;
            }
            let sent = Transfer { direction: Direction::Forward, ..back };
            if std::mem::take(&mut is_pending[slots.transfer(sent)]) {
                lowered.push(Action::WaitSend(sent));
            }
        }
    }
    for &action in row {
        if let Action::Send(send) = action
            && is_pending[slots.transfer(send)]
        {
            lowered.push(Action::WaitSend(send));
        }
    }
    lowered
}
