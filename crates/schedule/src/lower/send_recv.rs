//! The pass that adds sends and receives, in the order of torch's `_add_send_recv`.
//!
//! torch sweeps over the ranks in their order; each that can, takes one action. A rank that cannot
//! is looked at in every sweep. Here it is looked at again when what it waits for has been done, so
//! that the work grows with the number of actions and not with their number times the ranks'.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::{Action, Compute, Plan, Program, Transfer, Work};

pub(super) fn add(plan: &Plan) -> Program {
    let mut sweep = Sweep::new(plan);
    // The ranks that can act: in this sweep, lowest first, and in the next.
    let mut current: BinaryHeap<Reverse<usize>> = BinaryHeap::new();
    let mut next: Vec<usize> = (0..plan.num_ranks()).filter(|&rank| sweep.is_ready(rank)).collect();
    while !next.is_empty() {
        current.extend(next.drain(..).map(Reverse));
        while let Some(Reverse(rank)) = current.pop() {
            let woken = sweep.take_turn(rank);
            if sweep.is_ready(rank) {
                next.push(rank);
            }
            for woken in woken {
                if woken > rank {
                    current.push(Reverse(woken));
                } else {
                    next.push(woken);
                }
            }
        }
    }
    Program::new(sweep.rows)
}

/// A run in which the ranks take turns.
struct Sweep<'a> {
    plan: &'a Plan,
    steps: Vec<usize>,
    /// By direction, which (stage, microbatch) has been computed. A plan is complete, so that these
    /// are no larger than it is.
    done: [Vec<bool>; 2],
    rows: Vec<Vec<Action>>,
}

impl<'a> Sweep<'a> {
    fn new(plan: &'a Plan) -> Self {
        let num_cells = plan.num_stages() * plan.num_microbatches();
        Self {
            plan,
            steps: vec![0; plan.num_ranks()],
            done: [vec![false; num_cells], vec![false; num_cells]],
            rows: plan.rows().iter().map(|row| Vec::with_capacity(row.len())).collect(),
        }
    }

    /// What a rank computes next, unless it is done.
    fn front(&self, rank: usize) -> Option<Work> {
        self.plan.rows()[rank].get(self.steps[rank]).copied()
    }

    /// Within a rank the plan keeps the order: only the neighbours have to be looked at.
    fn is_ready(&self, rank: usize) -> bool {
        self.front(rank).is_some_and(|work| work.parts().all(|part| self.has_inputs(part)))
    }

    fn cell(&self, stage: usize, compute: Compute) -> usize {
        stage * self.plan.num_microbatches() + compute.microbatch.index()
    }

    fn has_inputs(&self, compute: Compute) -> bool {
        let Some(direction) = compute.op.direction() else { return true };
        let from = direction.sender_to(compute.stage).map(|stage| stage.index());
        from.filter(|&stage| stage < self.plan.num_stages())
            .is_none_or(|stage| self.done[direction.index()][self.cell(stage, compute)])
    }

    /// Lets a rank that is ready compute and send. Returns the ranks to which this gives their next
    /// action.
    fn take_turn(&mut self, rank: usize) -> Vec<usize> {
        let work = self.front(rank).expect("only ranks that are ready take their turn");
        self.steps[rank] += 1;
        self.rows[rank].push(work.into());
        let mut woken = Vec::new();
        for compute in work.parts() {
            let Some(direction) = compute.op.direction() else { continue };
            let Compute { stage, microbatch, .. } = compute;
            let receiver = direction.receiver_of(stage);
            let receiver = receiver.filter(|stage| stage.index() < self.plan.num_stages());
            let peer = receiver.map(|stage| self.plan.placement().rank_of(stage).index());
            let was_ready = peer.is_some_and(|peer| self.is_ready(peer));
            let cell = self.cell(stage.index(), compute);
            self.done[direction.index()][cell] = true;
            let Some((receiver, peer)) = receiver.zip(peer).filter(|&(_, peer)| peer != rank)
            else {
                continue;
            };
            self.rows[rank].push(Action::Send(Transfer { direction, stage, microbatch }));
            self.rows[peer].push(Action::Recv(Transfer { direction, stage: receiver, microbatch }));
            if !was_ready && self.is_ready(peer) {
                woken.push(peer);
            }
        }
        woken
    }
}
