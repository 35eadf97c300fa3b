//! The pass that keeps the sends under way to a number: torch's `_add_wait_send_budget`.
//!
//! Before a send that would be one too many, the rank waits for one of those under way: the first
//! of which it is certain by then that it has been received, or else the first for which to wait
//! makes no circle. Which it is depends on who waits for whom: an action comes after those before it
//! in its row, a receive after its send, and what follows a wait after the receive.
//!
//! torch searches the whole program for every such question. Here a rank is asked about together
//! with its peers only: what passes through other ranks has been drawn together into one
//! [link](links::Link) for each pair of peers. The ranks are taken in torch's order, and halved
//! again and again, so that each half is drawn together once a level: the work is `n log p` for
//! rows around a ring or along a line, which covers all placements with names.

mod links;
mod places;
mod row;

use std::collections::BTreeMap;

use super::slots::Slots;
use super::{LowerError, LowerProblem};
use crate::{Action, Rank};
use links::Links;
use places::{Places, Step};

/// Moves waits of `rows`, in which every send has its wait, to where they have to be.
pub(super) fn keep(
    slots: &Slots<'_>,
    rows: Vec<Vec<Action>>,
    limit: usize,
) -> Result<Vec<Vec<Action>>, LowerError> {
    let num_ranks = rows.len();
    let places = Places::new(slots, &rows);
    let mut pass = Pass { slots, rows, places, limit };
    let mut links = Links::default();
    for rank in 0..num_ranks {
        links.set(rank, pass.before(rank));
    }
    pass.visit(links, 0, num_ranks).map_err(|problem| LowerError { problems: vec![problem] })?;
    Ok(pass.rows)
}

struct Pass<'a> {
    slots: &'a Slots<'a>,
    rows: Vec<Vec<Action>>,
    places: Places,
    limit: usize,
}

impl Pass<'_> {
    /// Treats the ranks from `start` to before `end`. `links` are between these, their peers, and
    /// nobody else. Returns the links to these ranks as they are afterwards.
    fn visit(&mut self, mut links: Links, start: usize, end: usize) -> Result<Links, LowerProblem> {
        if end - start == 1 {
            let peers = links.peers_of(start);
            self.rows[start] = row::keep(self, start, &peers, &links)?;
            let mut moved = Links::default();
            moved.set(start, self.before(start));
            return Ok(moved);
        }
        let middle = start.midpoint(end);
        let mut near_left = links.clone();
        near_left.draw_together(start, middle);
        let mut left = self.visit(near_left, start, middle)?;
        links.update(&left);
        links.draw_together(middle, end);
        left.update(&self.visit(links, middle, end)?);
        Ok(left)
    }

    /// What comes before steps of a rank, by peer: sends before their receives, and receives before
    /// what follows the waits for them.
    fn before(&self, rank: usize) -> BTreeMap<usize, Vec<(Step, Step)>> {
        let rank = Rank::new(rank);
        let mut pairs: BTreeMap<usize, Vec<(Step, Step)>> = BTreeMap::new();
        for &action in &self.rows[rank.index()] {
            let (peer, before, after) = match action {
                Action::Send(send) => {
                    let (peer, recv) =
                        self.slots.received_as(send).expect("a send has its receiver");
                    let before = self.places.own(self.slots, peer, recv).recv;
                    (peer, before, self.places.own(self.slots, rank, send).wait)
                }
                Action::Recv(recv) => {
                    let (peer, send) = self.slots.sent_as(recv).expect("a receive has its sender");
                    let before = self.places.own(self.slots, peer, send).send;
                    (peer, before, self.places.own(self.slots, rank, recv).recv)
                }
                Action::Compute(_)
                | Action::Overlap(_)
                | Action::WaitSend(_)
                | Action::Unshard(_)
                | Action::Reshard(_)
                | Action::ReduceGrad(_)
                | Action::WaitReduceGrad(_)
                | Action::ReduceTied { .. }
                | Action::OptimizerStep(_) => continue,
            };
            pairs.entry(peer.index()).or_default().push((before, after));
        }
        pairs
    }
}
