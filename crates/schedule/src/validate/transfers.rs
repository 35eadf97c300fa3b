//! Rules about what is sent and received between stages.

use super::index::{
    B, Cell, Deed, F, I, Index, RECV_B, RECV_F, SEND_B, SEND_F, WAIT_SEND_B, WAIT_SEND_F,
};
use super::{Located, Rule, Violation};
use crate::{Action, Direction, Rank, Stage};

pub(super) fn check(index: &Index, found: &mut Vec<Violation>) {
    // What no computation belongs to is reported here and has no neighbour to be matched with.
    for stage in 0..index.num_named() {
        for cell in index.cells(stage) {
            for (transfer, computes) in COMPUTES {
                if let Some(at) = cell.get(transfer) {
                    own_stage(index, &cell, at, computes, found);
                }
            }
            for (wait, send) in [(WAIT_SEND_F, SEND_F), (WAIT_SEND_B, SEND_B)] {
                if let (Some(at), None) = (cell.get(wait), cell.get(send)) {
                    let send = send.action(cell.stage, cell.microbatch);
                    found.push(Violation { at: vec![at], rule: Rule::WaitWithoutSend { send } });
                }
            }
        }
    }
    for transfer in index.transfers() {
        let stage = transfer.action.stage().expect("a transfer has a stage");
        if let Some(owner) = index.owners[stage.index()].filter(|&owner| owner != transfer.rank) {
            found.push(Violation { at: vec![transfer], rule: Rule::NotItsRank { stage, owner } });
        }
    }
    for stage in 0..index.num_stages().saturating_sub(1) {
        let (Some(lower), Some(upper)) = (index.owners[stage], index.owners[stage + 1]) else {
            continue;
        };
        let (lower_stage, upper_stage) = (Stage::new(stage), Stage::new(stage + 1));
        for (lower_cell, upper_cell) in index.neighbours(stage) {
            let (low, up) = (lower_cell.as_ref(), upper_cell.as_ref());
            let forward = Edge {
                from: End { cell: low, stage: lower_stage, rank: lower },
                to: End { cell: up, stage: upper_stage, rank: upper },
                direction: Direction::Forward,
            };
            let backward = Edge {
                from: End { cell: up, stage: upper_stage, rank: upper },
                to: End { cell: low, stage: lower_stage, rank: lower },
                direction: Direction::Backward,
            };
            forward.check(found);
            backward.check(found);
        }
    }
}

/// Each transfer with the computations of its own stage that it can be for.
const COMPUTES: [(Deed, [Deed; 2]); 4] =
    [(RECV_F, [F, F]), (SEND_F, [F, F]), (RECV_B, [B, I]), (SEND_B, [B, I])];

/// What a transfer needs on its own stage: a neighbour, and a computation.
fn own_stage(
    index: &Index,
    cell: &Cell,
    at: Located,
    computes: [Deed; 2],
    found: &mut Vec<Violation>,
) {
    let &Cell { stage, microbatch, .. } = cell;
    let is_last = stage.index() + 1 == index.num_stages();
    let peer = at.action.counterpart().and_then(Action::stage);
    let rule = match peer {
        None => Rule::NoNeighbour { stage, is_first: stage.index() == 0 },
        Some(peer) if is_last && peer > stage => Rule::NoNeighbour { stage, is_first: false },
        Some(_) if computes.iter().all(|&compute| cell.get(compute).is_none()) => {
            Rule::NoCompute { stage, microbatch }
        }
        Some(_) => return,
    };
    found.push(Violation { at: vec![at], rule });
}

/// One end of an edge, for one microbatch.
struct End<'a> {
    cell: Option<&'a Cell>,
    stage: Stage,
    rank: Rank,
}

impl End<'_> {
    fn get(&self, deed: Deed) -> Option<Located> {
        self.cell.and_then(|cell| cell.get(deed))
    }
}

/// What goes from a stage to its neighbour, for one microbatch.
struct Edge<'a> {
    from: End<'a>,
    to: End<'a>,
    direction: Direction,
}

impl Edge<'_> {
    fn check(&self, found: &mut Vec<Violation>) {
        let send = self.from.get(Deed::Send(self.direction));
        let recv = self.to.get(Deed::Recv(self.direction));
        let user = match self.direction {
            Direction::Forward => self.to.get(F),
            Direction::Backward => self.to.get(B).or(self.to.get(I)),
        };
        let microbatch = match (self.from.cell, self.to.cell) {
            (Some(cell), _) | (None, Some(cell)) => cell.microbatch,
            (None, None) => return,
        };
        let missing_recv = Deed::Recv(self.direction).action(self.to.stage, microbatch);
        let missing_send = Deed::Send(self.direction).action(self.from.stage, microbatch);
        let mut add = |at, rule| found.push(Violation { at: vec![at], rule });
        if self.from.rank == self.to.rank {
            if let Some(send) = send {
                add(send, Rule::SameRank { peer: self.to.stage });
            }
            if let Some(recv) = recv {
                add(recv, Rule::SameRank { peer: self.from.stage });
            }
            return;
        }
        // A computation without its receive is one fault, a send without its receive another: the
        // first says what is wrong where it would be felt, the second what to pair.
        if let (Some(user), None) = (user, recv) {
            add(user, Rule::NotTransferred { recv: missing_recv, from: self.from.rank });
        }
        match (send, recv) {
            (Some(send), None) => {
                add(send, Rule::NotReceived { recv: missing_recv, rank: self.to.rank });
            }
            (None, Some(recv)) => {
                add(recv, Rule::NotSent { send: missing_send, rank: self.from.rank });
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}
