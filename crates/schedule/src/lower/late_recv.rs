//! The pass that moves receives back as far as no other message is affected: our own.

use std::collections::VecDeque;

use super::slots::{Slots, moved_by};
use crate::{Action, Rank, Transfer};

/// Moves each receive over what stands between it and the next send, or the computation that takes
/// in its tensors. Sends and receives keep their order, so that whatever is true of it stays true;
/// and what a rank computes before it posts a receive, it computes from earlier messages: so the
/// sender waits longer, but never for good.
pub(super) fn delay(slots: &Slots<'_>, rank: Rank, row: &[Action]) -> Vec<Action> {
    let mut lowered = Vec::with_capacity(row.len());
    let mut is_waiting = vec![false; slots.num_transfers(rank)];
    let mut waiting: VecDeque<Transfer> = VecDeque::new();
    for &action in row {
        match action {
            Action::Recv(recv) => {
                is_waiting[slots.transfer(recv)] = true;
                waiting.push_back(recv);
                continue;
            }
            Action::Send(_) => {
                for recv in waiting.drain(..) {
                    is_waiting[slots.transfer(recv)] = false;
                    lowered.push(Action::Recv(recv));
                }
            }
            Action::Compute(_)
            | Action::Overlap(_)
            | Action::WaitSend(_)
            | Action::Unshard(_)
            | Action::Reshard(_)
            | Action::ReduceGrad(_)
            | Action::WaitReduceGrad(_)
            | Action::ReduceTied { .. }
            | Action::OptimizerStep(_) => {}
        }
        for needed in action.computes().filter_map(moved_by) {
            // Those in front of it go first.
            while is_waiting[slots.transfer(needed)] {
                let recv = waiting.pop_front().expect("a receive that waits is in the queue");
                is_waiting[slots.transfer(recv)] = false;
                lowered.push(Action::Recv(recv));
            }
        }
        lowered.push(action);
    }
    lowered
}
