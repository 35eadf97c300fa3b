//! Finds the actions of a timeline by what they are.

use std::num::NonZeroUsize;
use std::ops::Range;

use super::Place;
use crate::{Action, Compute, ComputeOp, Direction, MicroBatch, Rank, Stage, Timeline, Transfer};

/// Numbers the actions of a timeline, row by row, and finds them again.
pub(super) struct Lookup {
    /// By rank, the number of its first action; and one more, the number of all actions.
    starts: Vec<usize>,
    num_stages: usize,
    num_microbatches: usize,
    forwards: Nodes,
    /// `B` and `I`.
    backwards: Nodes,
    recomputes: Nodes,
    sends: [Nodes; 2],
    recvs: [Nodes; 2],
}

/// Actions by the cell of their stage and microbatch. Takes no memory until there is one.
#[derive(Default)]
struct Nodes(Vec<Option<NonZeroUsize>>);

impl Nodes {
    fn set(&mut self, num_cells: usize, cell: usize, node: usize) {
        if self.0.is_empty() {
            self.0 = vec![None; num_cells];
        }
        self.0[cell] = NonZeroUsize::new(node + 1);
    }

    fn get(&self, cell: usize) -> Option<usize> {
        let node = self.0.get(cell)?.as_ref()?;
        Some(node.get() - 1)
    }
}

impl Lookup {
    pub(super) fn new(timeline: &Timeline) -> Self {
        let mut starts = vec![0];
        let (mut num_stages, mut num_microbatches) = (0, 0);
        for row in timeline.rows() {
            starts.push(starts[starts.len() - 1] + row.len());
            for part in row.iter().flat_map(|span| span.action.computes()) {
                num_stages = num_stages.max(part.stage.index() + 1);
                num_microbatches = num_microbatches.max(part.microbatch.index() + 1);
            }
        }
        let mut lookup = Self {
            starts,
            num_stages,
            num_microbatches,
            forwards: Nodes::default(),
            backwards: Nodes::default(),
            recomputes: Nodes::default(),
            sends: Default::default(),
            recvs: Default::default(),
        };
        for (node, span) in timeline.rows().iter().flatten().enumerate() {
            lookup.enter(span.action, node);
        }
        lookup
    }

    fn enter(&mut self, action: Action, node: usize) {
        let num_cells = self.num_stages * self.num_microbatches;
        match action {
            Action::Compute(_) | Action::Overlap(_) => {
                for part in action.computes() {
                    let cell = self.cell(part.stage, part.microbatch);
                    match part.op {
                        ComputeOp::Forward => self.forwards.set(num_cells, cell, node),
                        ComputeOp::Backward | ComputeOp::BackwardInput => {
                            self.backwards.set(num_cells, cell, node);
                        }
                        ComputeOp::Recompute => self.recomputes.set(num_cells, cell, node),
                        ComputeOp::BackwardWeight => {}
                    }
                }
            }
            Action::Send(Transfer { direction, stage, microbatch }) => {
                let cell = self.cell(stage, microbatch);
                self.sends[direction.index()].set(num_cells, cell, node);
            }
            Action::Recv(Transfer { direction, stage, microbatch }) => {
                let cell = self.cell(stage, microbatch);
                self.recvs[direction.index()].set(num_cells, cell, node);
            }
            Action::WaitSend(_)
            | Action::Unshard(_)
            | Action::Reshard(_)
            | Action::ReduceGrad(_)
            | Action::WaitReduceGrad(_)
            | Action::ReduceTied { .. }
            | Action::OptimizerStep(_) => {}
        }
    }

    /// A timeline's forwards are complete, so all that it names is within.
    fn cell(&self, stage: Stage, microbatch: MicroBatch) -> usize {
        stage.index() * self.num_microbatches + microbatch.index()
    }

    pub(super) fn num_nodes(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    pub(super) fn num_ranks(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn num_stages(&self) -> usize {
        self.num_stages
    }

    pub(super) fn place(&self, node: usize) -> Place {
        let rank = self.rank(node);
        Place { rank: Rank::new(rank), step: node - self.starts[rank] }
    }

    pub(super) fn rank(&self, node: usize) -> usize {
        self.starts.partition_point(|&start| start <= node) - 1
    }

    /// The actions of a rank.
    pub(super) fn nodes_of(&self, rank: usize) -> Range<usize> {
        self.starts[rank]..self.starts[rank + 1]
    }

    /// Whether an action is of a rank.
    pub(super) fn is_near(&self, node: usize, rank: usize) -> bool {
        self.nodes_of(rank).contains(&node)
    }

    /// The computation that makes a stage's tensors of a direction.
    pub(super) fn maker(
        &self,
        direction: Direction,
        stage: Stage,
        microbatch: MicroBatch,
    ) -> Option<usize> {
        if stage.index() >= self.num_stages {
            return None;
        }
        let cell = self.cell(stage, microbatch);
        match direction {
            Direction::Forward => self.forwards.get(cell),
            Direction::Backward => self.backwards.get(cell),
        }
    }

    /// The computation of a neighbouring stage that one needs.
    pub(super) fn source(&self, compute: Compute) -> Option<usize> {
        let direction = compute.op.direction()?;
        let sender = direction.sender_to(compute.stage)?;
        self.maker(direction, sender, compute.microbatch)
    }

    /// The receive that a computation waits for, if its timeline has receives.
    pub(super) fn recv_for(&self, compute: Compute) -> Option<usize> {
        let direction = compute.op.direction()?;
        self.recvs[direction.index()].get(self.cell(compute.stage, compute.microbatch))
    }

    /// The computations of its own stage that one needs.
    pub(super) fn own_sources(&self, compute: Compute) -> impl Iterator<Item = usize> {
        let cell = self.cell(compute.stage, compute.microbatch);
        let sources = match compute.op {
            ComputeOp::Forward => [None, None],
            ComputeOp::BackwardInput | ComputeOp::Backward => {
                [self.forwards.get(cell), self.recomputes.get(cell)]
            }
            ComputeOp::BackwardWeight => [self.backwards.get(cell), None],
            ComputeOp::Recompute => [self.forwards.get(cell), None],
        };
        sources.into_iter().flatten()
    }

    pub(super) fn send(&self, send: Transfer) -> Option<usize> {
        self.sends[send.direction.index()].get(self.cell(send.stage, send.microbatch))
    }

    /// The receive of a send.
    pub(super) fn recv_of(&self, send: Transfer) -> Option<usize> {
        let stage = send.direction.receiver_of(send.stage)?;
        if stage.index() >= self.num_stages {
            return None;
        }
        self.recvs[send.direction.index()].get(self.cell(stage, send.microbatch))
    }

    /// The send of a receive.
    pub(super) fn send_of(&self, recv: Transfer) -> Option<usize> {
        let stage = recv.direction.sender_to(recv.stage)?;
        if stage.index() >= self.num_stages {
            return None;
        }
        self.send(Transfer { stage, ..recv })
    }
}
