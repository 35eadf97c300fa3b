//! The pass that reduces gradients over the replicas: torch's `_add_reduce_grad`.

use std::collections::VecDeque;

use super::ReduceGrads;
use super::slots::Slots;
use crate::{Action, Rank, Stage};

/// One rank's row with `REDUCE_GRAD` behind the last backward of each stage, and its wait.
pub(super) struct Reduce<'a, I> {
    actions: I,
    slots: &'a Slots<'a>,
    mode: ReduceGrads,
    /// By slot: how many microbatches have gone backward.
    num_done: Vec<usize>,
    pending: Option<Stage>,
    output: VecDeque<Action>,
}

impl<'a, I: Iterator<Item = Action>> Reduce<'a, I> {
    pub(super) fn new(slots: &'a Slots<'a>, rank: Rank, mode: ReduceGrads, actions: I) -> Self {
        let num_done = vec![0; slots.num_slots(rank)];
        Self { actions, slots, mode, num_done, pending: None, output: VecDeque::new() }
    }

    fn reduce(&mut self, stage: Stage) {
        match self.mode {
            ReduceGrads::Never => {}
            ReduceGrads::Immediate => {
                self.output.extend([Action::ReduceGrad(stage), Action::WaitReduceGrad(stage)]);
            }
            ReduceGrads::Deferred => {
                self.output.extend(self.pending.replace(stage).map(Action::WaitReduceGrad));
                self.output.push_back(Action::ReduceGrad(stage));
            }
        }
    }
}

impl<I: Iterator<Item = Action>> Iterator for Reduce<'_, I> {
    type Item = Action;

    fn next(&mut self) -> Option<Action> {
        if let Some(action) = self.output.pop_front() {
            return Some(action);
        }
        let Some(action) = self.actions.next() else {
            return self.pending.take().map(Action::WaitReduceGrad);
        };
        for part in action.computes().filter(|&part| part.op.frees()) {
            let slot = self.slots.slot(part.stage);
            self.num_done[slot] += 1;
            if self.num_done[slot] == self.slots.plan.num_microbatches() {
                self.reduce(part.stage);
            }
        }
        Some(action)
    }
}
