//! Keeps the sends of one rank to the number, given how its peers are linked.

use super::links::Links;
use super::places::Step;
use super::{LowerProblem, Pass};
use crate::{Action, Rank, Transfer};

/// The row of a rank with its waits where they have to be.
pub(super) fn keep(
    pass: &mut Pass<'_>,
    rank: usize,
    peers: &[usize],
    links: &Links,
) -> Result<Vec<Action>, LowerProblem> {
    let row = std::mem::take(&mut pass.rows[rank]);
    let rank = Rank::new(rank);
    let slots = pass.slots;
    let mut lowered = Vec::with_capacity(row.len());
    let mut around = Around { rank: rank.index(), peers, links, passed: vec![None; peers.len()] };
    let mut pending: Vec<Pending> = Vec::new();
    for (step, &action) in (0..).zip(&row) {
        match action {
            Action::Send(send) => {
                while pending.len() >= pass.limit {
                    let Some(found) = around.first_to_wait_for(&pending, step) else {
                        let outstanding = pending.iter().map(|pending| pending.send).collect();
                        let limit = pass.limit;
                        return Err(LowerProblem::SendBudget { rank, limit, send, outstanding });
                    };
                    let waited = pending.remove(found);
                    around.pass(waited.peer, waited.recv);
                    pass.places.move_wait(slots, rank, waited.send, step);
                    lowered.push(Action::WaitSend(waited.send));
                }
                let (peer, recv) = slots.received_as(send).expect("a send has its receiver");
                let recv = pass.places.own(slots, peer, recv).recv;
                pending.push(Pending { send, peer: around.position(peer), recv });
                lowered.push(action);
            }
            Action::Recv(recv) => {
                let (peer, send) = slots.sent_as(recv).expect("a receive has its sender");
                let sent = pass.places.own(slots, peer, send).send;
                around.pass(around.position(peer), sent);
                lowered.push(action);
            }
            Action::WaitSend(send) => {
                // If not, it has been moved.
                let is_here = pass.places.own(slots, rank, send).wait == step;
                let found = pending.iter().position(|pending| is_here && pending.send == send);
                if let Some(found) = found {
                    let waited = pending.remove(found);
                    around.pass(waited.peer, waited.recv);
                    lowered.push(action);
                }
            }
            Action::Compute(_)
            | Action::Overlap(_)
            | Action::Unshard(_)
            | Action::Reshard(_)
            | Action::ReduceGrad(_)
            | Action::WaitReduceGrad(_)
            | Action::ReduceTied { .. }
            | Action::OptimizerStep(_) => lowered.push(action),
        }
    }
    Ok(lowered)
}

/// A send under way, and where it is received.
struct Pending {
    send: Transfer,
    /// The number of the receiver among the peers.
    peer: usize,
    recv: Step,
}

/// A rank among its peers, seen from one of its steps.
struct Around<'a> {
    rank: usize,
    peers: &'a [usize],
    links: &'a Links,
    /// By peer: the last step that has come before the rank's step directly.
    passed: Vec<Option<Step>>,
}

impl Around<'_> {
    fn position(&self, peer: Rank) -> usize {
        self.peers.binary_search(&peer.index()).expect("who exchanges messages is linked")
    }

    /// A step of a peer has come before.
    fn pass(&mut self, peer: usize, step: Step) {
        self.passed[peer] = self.passed[peer].max(Some(step));
    }

    /// The first whose receive is certain before `step`; else the first whose receive does not come
    /// after it.
    fn first_to_wait_for(&self, pending: &[Pending], step: Step) -> Option<usize> {
        let passed = self.all_passed();
        let received = |pending: &Pending| Some(pending.recv) <= passed[pending.peer];
        pending.iter().position(received).or_else(|| {
            let ahead = self.all_ahead(step);
            let comes_after =
                |pending: &Pending| ahead[pending.peer].is_some_and(|first| first <= pending.recv);
            pending.iter().position(|pending| !comes_after(pending))
        })
    }

    /// By peer: the last step that comes before, by way of other peers too.
    fn all_passed(&self) -> Vec<Option<Step>> {
        let mut passed = self.passed.clone();
        let mut open: Vec<usize> = (0..passed.len()).collect();
        while let Some(at) = open.pop() {
            let Some(step) = passed[at] else { continue };
            for (peer, known) in passed.iter_mut().enumerate() {
                let link = self.links.get(self.peers[peer], self.peers[at]);
                let last = link.and_then(|link| link.last_before(step));
                if last > *known {
                    *known = last;
                    open.push(peer);
                }
            }
        }
        passed
    }

    /// By peer: the first step that comes after a step of the rank, by way of other peers too.
    fn all_ahead(&self, step: Step) -> Vec<Option<Step>> {
        let direct = |&peer: &usize| self.links.get(self.rank, peer)?.first_after(step);
        let mut ahead: Vec<Option<Step>> = self.peers.iter().map(direct).collect();
        let mut open: Vec<usize> = (0..ahead.len()).collect();
        while let Some(at) = open.pop() {
            let Some(step) = ahead[at] else { continue };
            for (peer, known) in ahead.iter_mut().enumerate() {
                let link = self.links.get(self.peers[at], self.peers[peer]);
                let first = link.and_then(|link| link.first_after(step));
                if first.is_some() && (known.is_none() || first < *known) {
                    *known = first;
                    open.push(peer);
                }
            }
        }
        ahead
    }
}
