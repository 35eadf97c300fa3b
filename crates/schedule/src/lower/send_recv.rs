//! The pass that adds sends and receives, in the order of torch's `_add_send_recv`.
//!
//! torch sweeps over the ranks in their order; each that can, takes one action. A rank that cannot
//! is looked at in every sweep. Here it is looked at again when what it waits for has been done, so
//! that the work grows with the number of actions and not with their number times the ranks'.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{LowerError, Wait};
use crate::{Action, Compute, ComputeOp, Direction, Plan, Program, Rank, Stage, Transfer};

pub(super) fn add(plan: &Plan) -> Result<Program, LowerError> {
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
            match woken {
                Some(woken) if woken > rank => current.push(Reverse(woken)),
                Some(woken) => next.push(woken),
                None => {}
            }
        }
    }
    sweep.finish()
}

/// A run in which the ranks take turns.
struct Sweep<'a> {
    plan: &'a Plan,
    /// The step at which each rank stands; never at an idle cell.
    steps: Vec<usize>,
    /// Which (stage, microbatch) has been computed forward, and backward as far as its inputs. A
    /// plan is complete, so that these are no larger than it is.
    forward: Vec<bool>,
    backward: Vec<bool>,
    rows: Vec<Vec<Action>>,
}

impl<'a> Sweep<'a> {
    fn new(plan: &'a Plan) -> Self {
        let num_cells = plan.num_stages() * plan.num_microbatches();
        let mut sweep = Self {
            plan,
            steps: vec![0; plan.num_ranks()],
            forward: vec![false; num_cells],
            backward: vec![false; num_cells],
            rows: plan.rows().iter().map(|row| Vec::with_capacity(row.len())).collect(),
        };
        for rank in 0..plan.num_ranks() {
            sweep.skip_idle(rank);
        }
        sweep
    }

    fn skip_idle(&mut self, rank: usize) {
        let row = &self.plan.rows()[rank];
        while row.get(self.steps[rank]).is_some_and(Option::is_none) {
            self.steps[rank] += 1;
        }
    }

    /// What a rank does next, unless it is done.
    fn front(&self, rank: usize) -> Option<Compute> {
        self.plan.rows()[rank].get(self.steps[rank]).copied().flatten()
    }

    fn is_ready(&self, rank: usize) -> bool {
        self.front(rank).is_some_and(|compute| self.missing(compute).is_none())
    }

    /// The place of a stage's work on the microbatch of `compute`.
    fn cell(&self, stage: Stage, compute: Compute) -> usize {
        stage.index() * self.plan.num_microbatches() + compute.microbatch.index()
    }

    /// The neighbour that has to compute before, if there is one and it has not. Within a rank the
    /// plan keeps the order.
    fn missing(&self, compute: Compute) -> Option<(Stage, Direction)> {
        let (done, direction) = match compute.op {
            ComputeOp::Forward => (&self.forward, Direction::Forward),
            ComputeOp::Backward | ComputeOp::BackwardInput => (&self.backward, Direction::Backward),
            ComputeOp::BackwardWeight => return None,
        };
        let stage = direction.sender_to(compute.stage).filter(|&stage| self.exists(stage))?;
        (!done[self.cell(stage, compute)]).then_some((stage, direction))
    }

    /// Lets a rank that is ready compute and send. Returns the rank that this gives its next
    /// action, if any.
    fn take_turn(&mut self, rank: usize) -> Option<usize> {
        let compute = self.front(rank).expect("only ranks that are ready take their turn");
        let Compute { op, stage, microbatch } = compute;
        self.steps[rank] += 1;
        self.skip_idle(rank);
        self.rows[rank].push(compute.into());
        let direction = match op {
            ComputeOp::Forward => Direction::Forward,
            ComputeOp::Backward | ComputeOp::BackwardInput => Direction::Backward,
            ComputeOp::BackwardWeight => return None,
        };
        let receiver = direction.receiver_of(stage).filter(|&stage| self.exists(stage));
        let peer = receiver.map(|stage| self.plan.placement().rank_of(stage).index());
        let was_ready = peer.is_some_and(|peer| self.is_ready(peer));
        let cell = self.cell(stage, compute);
        match direction {
            Direction::Forward => self.forward[cell] = true,
            Direction::Backward => self.backward[cell] = true,
        }
        let (receiver, peer) = receiver.zip(peer).filter(|&(_, peer)| peer != rank)?;
        self.rows[rank].push(Action::Send(Transfer { direction, stage, microbatch }));
        self.rows[peer].push(Action::Recv(Transfer { direction, stage: receiver, microbatch }));
        (!was_ready && self.is_ready(peer)).then_some(peer)
    }

    fn exists(&self, stage: Stage) -> bool {
        stage.index() < self.plan.num_stages()
    }

    fn finish(self) -> Result<Program, LowerError> {
        let num_ranks = self.plan.num_ranks();
        if (0..num_ranks).all(|rank| self.front(rank).is_none()) {
            return Ok(Program::new(self.rows));
        }
        // Which backwards are split: what waits for one of them waits for its I.
        let mut is_split = vec![false; self.backward.len()];
        for compute in self.plan.rows().iter().flatten().flatten() {
            if compute.op == ComputeOp::BackwardInput {
                is_split[self.cell(compute.stage, *compute)] = true;
            }
        }
        let wait = |rank| {
            let next = self.front(rank)?;
            let (stage, direction) = self.missing(next)?;
            let op = match direction {
                Direction::Forward => ComputeOp::Forward,
                Direction::Backward if is_split[self.cell(stage, next)] => ComputeOp::BackwardInput,
                Direction::Backward => ComputeOp::Backward,
            };
            let needs = Compute { op, stage, microbatch: next.microbatch };
            let of = self.plan.placement().rank_of(stage);
            Some(Wait { rank: Rank::new(rank), step: self.steps[rank], next, needs, of })
        };
        Err(LowerError { waits: (0..num_ranks).filter_map(wait).collect() })
    }
}
