//! The quick way to a verdict: one pass over the actions that knows yes from no, and no reasons.
//!
//! Programs of millions of actions are right as a rule. This proves it with a few bits for every
//! stage and microbatch; what it does not accept, the rules of the other files look at again, find
//! out why, and say so. They have the last word.

use super::Facts;
use crate::{Action, Compute, ComputeOp, Direction, Placement, Rank, Stage, Transfer};

/// What has happened to a microbatch on a stage.
mod done {
    pub(super) const F: u16 = 1;
    pub(super) const I: u16 = 1 << 1;
    pub(super) const W: u16 = 1 << 2;
    pub(super) const B: u16 = 1 << 3;
    pub(super) const R: u16 = 1 << 4;
    /// By direction, forward first.
    pub(super) const SEND: [u16; 2] = [1 << 5, 1 << 6];
    pub(super) const RECV: [u16; 2] = [1 << 7, 1 << 8];
    pub(super) const WAIT: [u16; 2] = [1 << 9, 1 << 10];
}

/// What has happened to a stage as a whole.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Whole {
    is_unsharded: bool,
    was_unsharded: bool,
    is_reduced: bool,
    is_awaited: bool,
    num_tied: u16,
    is_updated: bool,
    /// Microbatches whose backward is complete.
    num_backward: usize,
}

/// Whether transfers are part of the rows, or only understood.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Plan,
    Program,
}

/// What is true of rows in which everything happens once, on the right rank and in an order that
/// its rank can keep; none if something is wrong with them. Whether the ranks fit together is
/// another question.
pub(super) fn prove<T: Copy>(
    rows: &[Vec<T>],
    level: Level,
    action: impl Fn(T) -> Action + Copy,
) -> Option<Facts> {
    let mut proof = Proof::start(rows, level, action)?;
    for (rank, row) in rows.iter().enumerate() {
        proof.rank = Rank::new(rank);
        (proof.alive, proof.peak) = (0, 0);
        for &entry in row {
            proof.take(action(entry))?;
        }
        proof.peaks.push(proof.peak);
    }
    proof.finish()
}

struct Proof {
    level: Level,
    placement: Placement,
    num_microbatches: usize,
    has_backward: bool,
    done: Vec<u16>,
    wholes: Vec<Whole>,
    /// The tie groups with the number of stages in each.
    ties: std::collections::BTreeMap<u16, usize>,
    rank: Rank,
    alive: usize,
    peak: usize,
    peaks: Vec<usize>,
}

impl Proof {
    /// Reads the placement and the sizes off the computations.
    fn start<T: Copy>(rows: &[Vec<T>], level: Level, action: impl Fn(T) -> Action) -> Option<Self> {
        let mut owners: Vec<Option<Rank>> = Vec::new();
        let (mut num_microbatches, mut num_forward, mut has_backward) = (0, 0, false);
        for (rank, row) in rows.iter().enumerate() {
            let rank = Rank::try_new(rank)?;
            let mut last = None;
            for &entry in row {
                for Compute { op, stage, microbatch } in action(entry).computes() {
                    num_microbatches = num_microbatches.max(microbatch.index() + 1);
                    match op {
                        ComputeOp::Forward => num_forward += 1,
                        ComputeOp::BackwardInput
                        | ComputeOp::BackwardWeight
                        | ComputeOp::Backward
                        | ComputeOp::Recompute => has_backward = true,
                    }
                    if last == Some(stage) {
                        continue;
                    }
                    last = Some(stage);
                    if stage.index() >= owners.len() {
                        owners.resize(stage.index() + 1, None);
                    }
                    if *owners[stage.index()].get_or_insert(rank) != rank {
                        return None;
                    }
                }
            }
        }
        let owners: Vec<Rank> = owners.into_iter().collect::<Option<_>>()?;
        let num_cells = owners.len().checked_mul(num_microbatches)?;
        let placement = Placement::new(owners).ok()?;
        // With as many forwards as cells, no more memory is used than the rows take.
        if num_forward != num_cells || num_cells == 0 || placement.num_ranks() != rows.len() {
            return None;
        }
        Some(Self {
            level,
            num_microbatches,
            has_backward,
            done: vec![0; num_cells],
            wholes: vec![Whole::default(); placement.num_stages()],
            ties: std::collections::BTreeMap::new(),
            placement,
            rank: Rank::new(0),
            alive: 0,
            peak: 0,
            peaks: Vec::with_capacity(rows.len()),
        })
    }

    fn take(&mut self, action: Action) -> Option<()> {
        match action {
            Action::Compute(compute) => {
                self.may_compute(compute)?;
                self.compute(compute);
                Some(())
            }
            Action::Overlap(overlap) => {
                let parts = [overlap.forward(), overlap.backward()];
                // Neither part may need the other.
                parts.into_iter().try_for_each(|part| self.may_compute(part))?;
                parts.into_iter().for_each(|part| self.compute(part));
                Some(())
            }
            Action::Send(transfer) => {
                let makes = match transfer.direction {
                    Direction::Forward => done::F,
                    Direction::Backward => done::B | done::I,
                };
                let to = self.placement.receiver_of(transfer.direction, transfer.stage);
                self.transfer(transfer, to, done::SEND, |done| done & makes != 0)
            }
            Action::Recv(transfer) => {
                let uses = match transfer.direction {
                    Direction::Forward => done::F,
                    Direction::Backward => done::B | done::I,
                };
                let from = self.placement.sender_to(transfer.direction, transfer.stage);
                self.transfer(transfer, from, done::RECV, |done| done & uses == 0)
            }
            Action::WaitSend(transfer) => {
                let sent = done::SEND[transfer.direction.index()];
                let to = self.placement.receiver_of(transfer.direction, transfer.stage);
                self.transfer(transfer, to, done::WAIT, |done| done & sent != 0)
            }
            Action::Unshard(stage) => {
                let whole = self.whole(stage)?;
                let before = *whole;
                (whole.is_unsharded, whole.was_unsharded) = (true, true);
                // A computation before the first would have had only a part of the parameters.
                let is_late = !before.was_unsharded && self.has_computed(stage);
                (!before.is_unsharded && !is_late).then_some(())
            }
            Action::Reshard(stage) => {
                let whole = self.whole(stage)?;
                std::mem::replace(&mut whole.is_unsharded, false).then_some(())
            }
            Action::ReduceGrad(stage) => {
                let whole = self.complete(stage)?;
                (!std::mem::replace(&mut whole.is_reduced, true) && !whole.is_updated).then_some(())
            }
            Action::WaitReduceGrad(stage) => {
                let whole = self.complete(stage)?;
                let is_first = !std::mem::replace(&mut whole.is_awaited, true);
                (is_first && whole.is_reduced && !whole.is_updated).then_some(())
            }
            // Whether a group has a stage twice is left to the rules.
            Action::ReduceTied { stage, group } => {
                let whole = self.complete(stage)?;
                whole.num_tied += 1;
                *self.ties.entry(group).or_insert(0) += 1;
                let whole = self.wholes[stage.index()];
                (whole.num_tied == 1 && !whole.is_updated && whole.is_reduced == whole.is_awaited)
                    .then_some(())
            }
            Action::OptimizerStep(stage) => {
                let whole = self.complete(stage)?;
                let is_first = !std::mem::replace(&mut whole.is_updated, true);
                (is_first && whole.is_reduced == whole.is_awaited).then_some(())
            }
        }
    }

    fn cell(&self, compute: Compute) -> usize {
        compute.stage.index() * self.num_microbatches + compute.microbatch.index()
    }

    /// Whether there is such a stage on this rank.
    fn owns(&self, stage: Stage) -> bool {
        self.placement.placed(stage).is_some_and(|(_, rank)| rank == self.rank)
    }

    fn may_compute(&self, compute: Compute) -> Option<()> {
        let done = self.done[self.cell(compute)];
        let is_next = match compute.op {
            ComputeOp::Forward => done & done::F == 0,
            ComputeOp::BackwardInput | ComputeOp::Backward => {
                done & done::F != 0 && done & (done::I | done::B) == 0
            }
            ComputeOp::BackwardWeight => done & done::I != 0 && done & done::W == 0,
            ComputeOp::Recompute => {
                done & done::F != 0 && done & (done::R | done::I | done::B) == 0
            }
        };
        let whole = self.wholes[compute.stage.index()];
        let has_parameters = !whole.was_unsharded || whole.is_unsharded;
        (is_next && has_parameters && !whole.is_updated && self.has_inputs(compute, done))
            .then_some(())
    }

    /// Whether the tensors of a neighbouring stage are here.
    fn has_inputs(&self, compute: Compute, done: u16) -> bool {
        let Some(direction) = compute.op.direction() else { return true };
        match self.placement.sender_to(direction, compute.stage) {
            None => true,
            Some((stage, rank)) if rank == self.rank => {
                let made = match direction {
                    Direction::Forward => done::F,
                    Direction::Backward => done::I | done::B,
                };
                self.done[self.cell(Compute { stage, ..compute })] & made != 0
            }
            Some(_) => self.level == Level::Plan || done & done::RECV[direction.index()] != 0,
        }
    }

    fn compute(&mut self, compute: Compute) {
        let cell = self.cell(compute);
        self.done[cell] |= match compute.op {
            ComputeOp::Forward => done::F,
            ComputeOp::BackwardInput => done::I,
            ComputeOp::BackwardWeight => done::W,
            ComputeOp::Backward => done::B,
            ComputeOp::Recompute => done::R,
        };
        if compute.op == ComputeOp::Forward {
            self.alive += 1;
            self.peak = self.peak.max(self.alive);
        } else if compute.op.frees() {
            self.alive -= 1;
            self.wholes[compute.stage.index()].num_backward += 1;
        }
    }

    /// Notes an end of a message, or the wait for one, that has its place in the row.
    fn transfer(
        &mut self,
        transfer: Transfer,
        peer: Option<(Stage, Rank)>,
        bits: [u16; 2],
        is_in_order: impl Fn(u16) -> bool,
    ) -> Option<()> {
        let Transfer { direction, stage, microbatch } = transfer;
        let (_, peer) = peer?;
        if peer == self.rank || !self.owns(stage) || microbatch.index() >= self.num_microbatches {
            return None;
        }
        let cell = stage.index() * self.num_microbatches + microbatch.index();
        let bit = bits[direction.index()];
        let done = self.done[cell];
        self.done[cell] |= bit;
        (done & bit == 0 && is_in_order(done)).then_some(())
    }

    fn whole(&mut self, stage: Stage) -> Option<&mut Whole> {
        self.owns(stage).then(|| &mut self.wholes[stage.index()])
    }

    /// A stage whose gradients are complete.
    fn complete(&mut self, stage: Stage) -> Option<&mut Whole> {
        let num_microbatches = self.num_microbatches;
        self.whole(stage).filter(|whole| whole.num_backward == num_microbatches)
    }

    fn has_computed(&self, stage: Stage) -> bool {
        let start = stage.index() * self.num_microbatches;
        let compute = done::F | done::I | done::W | done::B | done::R;
        self.done[start..start + self.num_microbatches].iter().any(|done| done & compute != 0)
    }

    fn finish(self) -> Option<Facts> {
        let first = self.wholes[0];
        let is_same = |whole: &Whole| {
            !whole.is_unsharded
                && whole.is_reduced == first.is_reduced
                && whole.is_updated == first.is_updated
        };
        if !self.wholes.iter().all(is_same) || self.ties.values().any(|&num| num < 2) {
            return None;
        }
        for (stage, cells) in self.done.chunks(self.num_microbatches).enumerate() {
            let stage = Stage::new(stage);
            let crosses = |peer: Option<(Stage, Rank)>| {
                let differs = |(_, rank)| rank != self.placement.rank_of(stage);
                self.level == Level::Program && peer.is_some_and(differs)
            };
            let mut transfers = 0;
            if crosses(self.placement.sender_to(Direction::Forward, stage)) {
                transfers |= done::RECV[0] | if self.has_backward { done::SEND[1] } else { 0 };
            }
            if crosses(self.placement.receiver_of(Direction::Forward, stage)) {
                transfers |= done::SEND[0] | if self.has_backward { done::RECV[1] } else { 0 };
            }
            let is_complete = |&done: &u16| {
                let backward = match done & (done::I | done::W | done::B) {
                    0 => !self.has_backward,
                    split => split == done::B || split == done::I | done::W,
                };
                let all = done::SEND[0] | done::SEND[1] | done::RECV[0] | done::RECV[1];
                backward && done & done::F != 0 && done & all == transfers
            };
            if !cells.iter().all(is_complete) {
                return None;
            }
        }
        let Self { placement, num_microbatches, has_backward, peaks, .. } = self;
        let peak_activations = if has_backward { peaks } else { vec![0; placement.num_ranks()] };
        Some(Facts { placement, num_microbatches, has_backward, peak_activations })
    }
}
