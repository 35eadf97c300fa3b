//! Numbers what a rank keeps account of, so that a pass needs no maps.

use crate::{Compute, Direction, Plan, Rank, Stage, Transfer};

/// The stages of each rank numbered from 0, their slots: what a pass notes about a stage of a rank,
/// or about such a stage's microbatch, has its place in a list that is as long as the rank's work.
pub(super) struct Slots<'a> {
    pub plan: &'a Plan,
    slot_of: Vec<usize>,
}

impl<'a> Slots<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        let mut slot_of = vec![0; plan.num_stages()];
        for rank in (0..plan.num_ranks()).map(Rank::new) {
            for (slot, stage) in plan.placement().stages_of(rank).iter().enumerate() {
                slot_of[stage.index()] = slot;
            }
        }
        Self { plan, slot_of }
    }

    /// How many stages a rank has.
    pub(super) fn num_slots(&self, rank: Rank) -> usize {
        self.plan.placement().stages_of(rank).len()
    }

    /// The number of a stage among those of its rank.
    pub(super) fn slot(&self, stage: Stage) -> usize {
        self.slot_of[stage.index()]
    }

    /// How many transfers of either direction a rank can name, both ends together.
    pub(super) fn num_transfers(&self, rank: Rank) -> usize {
        2 * self.num_slots(rank) * self.plan.num_microbatches()
    }

    /// The place of a transfer among those.
    pub(super) fn transfer(&self, transfer: Transfer) -> usize {
        let Transfer { direction, stage, microbatch } = transfer;
        let slot = match direction {
            Direction::Forward => 2 * self.slot(stage),
            Direction::Backward => 2 * self.slot(stage) + 1,
        };
        slot * self.plan.num_microbatches() + microbatch.index()
    }

    /// The rank that receives a send, and as what; none at the end of the pipeline.
    pub(super) fn received_as(&self, send: Transfer) -> Option<(Rank, Transfer)> {
        let (stage, rank) = self.plan.placement().receiver_of(send.direction, send.stage)?;
        Some((rank, Transfer { stage, ..send }))
    }

    /// The rank that sends what is received, and as what; none at the end of the pipeline.
    pub(super) fn sent_as(&self, recv: Transfer) -> Option<(Rank, Transfer)> {
        let (stage, rank) = self.plan.placement().sender_to(recv.direction, recv.stage)?;
        Some((rank, Transfer { stage, ..recv }))
    }
}

/// Which tensors a computation takes from the neighbour before it, as a receive would name them; and
/// which it makes for the one behind, as a send would. None if it works for its own stage only.
pub(super) fn moved_by(compute: Compute) -> Option<Transfer> {
    let Compute { op, stage, microbatch } = compute;
    op.direction().map(|direction| Transfer { direction, stage, microbatch })
}
