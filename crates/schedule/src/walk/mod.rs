//! Runs a program as its ranks would, without their work: in order, receives waiting for sends.

use std::collections::{BTreeMap, VecDeque};

use crate::{Action, Placement, Rank, Transfer, Work};

/// What happens along the way, given what has happened before.
pub(crate) trait Visit {
    /// What a message carries.
    type Message;

    /// A rank computes.
    fn compute(&mut self, rank: Rank, work: Work);

    /// A rank does something that takes no time and concerns no other.
    fn other(&mut self, rank: Rank, action: Action);

    /// A rank sends and goes on.
    fn send(&mut self, rank: Rank, transfer: Transfer) -> Self::Message;

    /// A rank receives what another has sent.
    fn recv(&mut self, rank: Rank, transfer: Transfer, message: Self::Message);
}

/// Runs every rank's row to its end. A rank waits at a receive until the sending rank has sent so
/// many messages to it; messages between two ranks keep their order and there is room for all.
///
/// Every transfer of `rows` has to name a neighbouring stage of the placement, on another rank.
///
/// # Errors
/// If no rank can go on: the step at which each rank stands.
pub(crate) fn walk<V: Visit>(
    rows: &[Vec<Action>],
    placement: &Placement,
    visit: &mut V,
) -> Result<(), Vec<usize>> {
    let mut steps = vec![0; rows.len()];
    let mut inboxes: Vec<BTreeMap<Rank, VecDeque<V::Message>>> =
        rows.iter().map(|_| BTreeMap::new()).collect();
    let mut waits_for: Vec<Option<Rank>> = vec![None; rows.len()];
    let mut ready: Vec<Rank> = (0..rows.len()).rev().map(Rank::new).collect();
    while let Some(rank) = ready.pop() {
        let row = &rows[rank.index()];
        while let Some(&action) = row.get(steps[rank.index()]) {
            match action {
                Action::Compute(compute) => visit.compute(rank, compute.into()),
                Action::Overlap(overlap) => visit.compute(rank, overlap.into()),
                Action::Send(transfer) => {
                    let to = placement.rank_of(transfer.receiver());
                    let message = visit.send(rank, transfer);
                    inboxes[to.index()].entry(rank).or_default().push_back(message);
                    if waits_for[to.index()] == Some(rank) {
                        waits_for[to.index()] = None;
                        ready.push(to);
                    }
                }
                Action::Recv(transfer) => {
                    let from = placement.rank_of(transfer.counterpart().stage);
                    let inbox = inboxes[rank.index()].get_mut(&from);
                    let Some(message) = inbox.and_then(VecDeque::pop_front) else {
                        waits_for[rank.index()] = Some(from);
                        break;
                    };
                    visit.recv(rank, transfer, message);
                }
                Action::WaitSend(_)
                | Action::Unshard(_)
                | Action::Reshard(_)
                | Action::ReduceGrad(_)
                | Action::WaitReduceGrad(_)
                | Action::ReduceTied { .. }
                | Action::OptimizerStep(_) => visit.other(rank, action),
            }
            steps[rank.index()] += 1;
        }
    }
    let is_done = rows.iter().zip(&steps).all(|(row, &step)| step == row.len());
    if is_done { Ok(()) } else { Err(steps) }
}
