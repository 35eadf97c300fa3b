//! The pass that adds sends and receives: torch's `_add_send_recv`.
//!
//! The ranks take turns, lowest first, one action each; who waits for a neighbour's result, passes.
//! Whatever is needed elsewhere is sent at once, and the receive enters the other row at that
//! moment. torch looks at every rank in every sweep; here a rank that waits is looked at again when
//! something has been sent to it, so that the work is linear in the number of actions.

use super::slots::{Slots, moved_by};
use super::turns::Turns;
use crate::{Action, Compute, Direction, Rank, Transfer};

/// Reads the ranks' actions and hands out those of the rows with sends and receives, each row in
/// its order.
pub(super) fn add<I>(slots: &Slots<'_>, rows: Vec<I>, mut emit: impl FnMut(Rank, Action))
where
    I: Iterator<Item = Action>,
{
    let mut turns = Turns::new(rows.len());
    let mut done = Done::new(slots);
    let mut waiting = vec![false; rows.len()];
    let mut fronts: Vec<_> = rows
        .into_iter()
        .map(|mut rest| {
            let action = rest.next();
            Front { action, rest }
        })
        .collect();
    for (rank, front) in fronts.iter().enumerate() {
        match front.action {
            Some(action) if done.has_inputs(action) => turns.next_sweep(rank),
            Some(_) => waiting[rank] = true,
            None => {}
        }
    }
    while let Some(rank) = turns.take() {
        let front = &mut fronts[rank];
        let action = front.action.expect("only ranks that can act take their turn");
        front.action = front.rest.next();
        emit(Rank::new(rank), action);
        for output in action.computes().filter_map(moved_by) {
            done.set(output);
            let Some((peer, receive)) = slots.received_as(output) else { continue };
            let receiver = peer.index();
            if receiver == rank {
                continue;
            }
            emit(Rank::new(rank), Action::Send(output));
            emit(peer, Action::Recv(receive));
            if waiting[receiver]
                && fronts[receiver].action.is_some_and(|next| done.has_inputs(next))
            {
                waiting[receiver] = false;
                if receiver > rank {
                    turns.this_sweep(receiver);
                } else {
                    turns.next_sweep(receiver);
                }
            }
        }
        match fronts[rank].action {
            Some(next) if done.has_inputs(next) => turns.next_sweep(rank),
            Some(_) => waiting[rank] = true,
            None => {}
        }
    }
    assert!(fronts.iter().all(|front| front.action.is_none()), "the rows of a plan fit together");
}

/// How many actions the pass makes of `num_actions` of a rank.
pub(super) fn num_lowered(slots: &Slots<'_>, rank: Rank, num_actions: usize) -> usize {
    let placement = slots.plan.placement();
    let neighbours = placement.stages_of(rank).iter().flat_map(|&stage| {
        [
            placement.receiver_of(Direction::Forward, stage),
            placement.sender_to(Direction::Forward, stage),
        ]
    });
    let num_links = neighbours.flatten().filter(|&(_, other)| other != rank).count();
    // A neighbour gets or gives activations, and the other way round gradients.
    let num_directions = if slots.plan.has_backward() { 2 } else { 1 };
    num_actions + num_links * num_directions * slots.plan.num_microbatches()
}

/// What a rank does next, and the rest.
struct Front<I> {
    action: Option<Action>,
    rest: I,
}

/// Which stages have put out what for which microbatches.
struct Done<'a> {
    slots: &'a Slots<'a>,
    /// By stage, then microbatch: a bit for each direction.
    bits: Vec<u8>,
}

impl<'a> Done<'a> {
    fn new(slots: &'a Slots<'a>) -> Self {
        Self { slots, bits: vec![0; slots.plan.num_stages() * slots.plan.num_microbatches()] }
    }

    fn place(&self, output: Transfer) -> usize {
        output.stage.index() * self.slots.plan.num_microbatches() + output.microbatch.index()
    }

    fn set(&mut self, output: Transfer) {
        let place = self.place(output);
        self.bits[place] |= bit(output.direction);
    }

    /// Whether all that an action takes in has been put out.
    fn has_inputs(&self, action: Action) -> bool {
        action.computes().all(|part: Compute| self.has_input(part))
    }

    fn has_input(&self, part: Compute) -> bool {
        let Some(input) = moved_by(part) else { return true };
        let Some((_, output)) = self.slots.sent_as(input) else { return true };
        self.bits[self.place(output)] & bit(input.direction) != 0
    }
}

fn bit(direction: Direction) -> u8 {
    match direction {
        Direction::Forward => 1,
        Direction::Backward => 2,
    }
}
