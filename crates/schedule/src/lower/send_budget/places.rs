//! Where each message is sent, received and waited for.

use crate::lower::slots::Slots;
use crate::{Action, Rank, Transfer};

/// A step of a row as it was before the pass.
pub(super) type Step = u32;

/// The steps of what a rank does with the tensors that a transfer names.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    pub send: Step,
    pub recv: Step,
    pub wait: Step,
}

/// The places of all transfers, by rank and then as [`Slots::transfer`] numbers them.
pub(super) struct Places {
    by_rank: Vec<Vec<Place>>,
}

impl Places {
    pub(super) fn new(slots: &Slots<'_>, rows: &[Vec<Action>]) -> Self {
        let places = |(rank, row): (usize, &Vec<Action>)| {
            let mut places = vec![Place::default(); slots.num_transfers(Rank::new(rank))];
            for (step, action) in (0..).zip(row) {
                match *action {
                    Action::Send(send) => places[slots.transfer(send)].send = step,
                    Action::Recv(recv) => places[slots.transfer(recv)].recv = step,
                    Action::WaitSend(send) => places[slots.transfer(send)].wait = step,
                    Action::Compute(_)
                    | Action::Overlap(_)
                    | Action::Unshard(_)
                    | Action::Reshard(_)
                    | Action::ReduceGrad(_)
                    | Action::WaitReduceGrad(_)
                    | Action::ReduceTied { .. }
                    | Action::OptimizerStep(_) => {}
                }
            }
            places
        };
        Self { by_rank: rows.iter().enumerate().map(places).collect() }
    }

    /// Where a rank has the transfer of one of its stages.
    pub(super) fn own(&self, slots: &Slots<'_>, rank: Rank, transfer: Transfer) -> Place {
        self.by_rank[rank.index()][slots.transfer(transfer)]
    }

    /// The wait of a rank's send stands before this step now.
    pub(super) fn move_wait(&mut self, slots: &Slots<'_>, rank: Rank, send: Transfer, step: Step) {
        self.by_rank[rank.index()][slots.transfer(send)].wait = step;
    }
}
