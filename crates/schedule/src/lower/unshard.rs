//! The pass that gathers and frees sharded parameters: torch's `_add_unshard_reshard`.
//!
//! Before each computation, the stages that are not among the next few that the rank uses are
//! freed, and those that will be used soonest are gathered. torch looks for these from each
//! computation anew. Here two windows slide over the row, each as long as it takes to hold so many
//! different stages; from one computation to the next only the stages that leave or enter a window
//! can change, so that the work is linear in the row.

use std::collections::VecDeque;

use super::slots::Slots;
use super::{Lookahead, Sharding};
use crate::{Action, Compute, Rank, Stage, Work};

/// One rank's row with its `UNSHARD` and `RESHARD`, computed as it is read.
pub(super) struct Unshard<'a> {
    row: &'a [Work],
    stages: &'a [Stage],
    slots: &'a Slots<'a>,
    /// The step of the row that comes next.
    step: usize,
    resident: Window,
    prefetch: Window,
    /// By slot: when it was gathered, in order, or none if it is not.
    active: Vec<Option<usize>>,
    num_gathered: usize,
    /// What comes before anything else is looked at.
    output: VecDeque<Action>,
}

impl<'a> Unshard<'a> {
    /// `sharding` has been checked against the plan.
    pub(super) fn new(slots: &'a Slots<'a>, rank: Rank, sharding: &Sharding) -> Self {
        let max = sharding.max_active_stages;
        let lookahead = match &sharding.lookahead {
            Lookahead::Full => max,
            Lookahead::Auto => max.min(rank.index() + 2),
            Lookahead::PerRank(given) => given[rank.index()],
        };
        let num_slots = slots.num_slots(rank);
        Self {
            row: &slots.plan.rows()[rank.index()],
            stages: slots.plan.placement().stages_of(rank),
            slots,
            step: 0,
            resident: Window::new(max, num_slots),
            prefetch: Window::new(lookahead, num_slots),
            active: vec![None; num_slots],
            num_gathered: 0,
            output: VecDeque::new(),
        }
    }

    /// The slots of a computation, the second only if it is another.
    fn slots_of(&self, work: Work) -> [Option<usize>; 2] {
        let mut slots = work.parts().map(|part: Compute| self.slots.slot(part.stage));
        let first = slots.next();
        [first, slots.next().filter(|&second| Some(second) != first)]
    }

    /// Puts out what stands before the next computation, and that.
    fn advance(&mut self, work: Work) {
        let left = match self.step.checked_sub(1) {
            Some(before) => self.slots_of(self.row[before]),
            None => [None; 2],
        };
        self.resident.leave(left);
        self.prefetch.leave(left);
        while let Some(entering) = self.resident.entering(self.row) {
            self.resident.enter(self.slots_of(entering));
        }
        // What is gathered was in the window one computation ago. So only what has just left it can
        // have to go.
        let mut freed = left.map(|slot| {
            slot.filter(|&slot| !self.resident.holds(slot)).map(|slot| (self.active[slot], slot))
        });
        freed.sort_unstable();
        for (_, slot) in freed.into_iter().flatten() {
            self.active[slot] = None;
            self.output.push_back(Action::Reshard(self.stages[slot]));
        }
        while let Some(entering) = self.prefetch.entering(self.row) {
            let entering = self.slots_of(entering);
            self.prefetch.enter(entering);
            for slot in entering.into_iter().flatten() {
                if self.active[slot].is_none() {
                    self.active[slot] = Some(self.num_gathered);
                    self.num_gathered += 1;
                    self.output.push_back(Action::Unshard(self.stages[slot]));
                }
            }
        }
        self.output.push_back(work.into());
        self.step += 1;
    }

    /// Frees what is left, in the order in which it was gathered.
    fn finish(&mut self) {
        let mut left: Vec<_> = (0..self.active.len())
            .filter_map(|slot| Some((self.active[slot].take()?, slot)))
            .collect();
        left.sort_unstable();
        self.output.extend(left.into_iter().map(|(_, slot)| Action::Reshard(self.stages[slot])));
    }
}

impl Iterator for Unshard<'_> {
    type Item = Action;

    fn next(&mut self) -> Option<Action> {
        if self.output.is_empty() {
            match self.row.get(self.step) {
                Some(&work) => self.advance(work),
                None => self.finish(),
            }
        }
        self.output.pop_front()
    }
}

/// The computations from the current one on, until so many different stages are among them.
struct Window {
    num_wanted: usize,
    end: usize,
    /// By slot: how many of the computations use it.
    uses: Vec<usize>,
    num_distinct: usize,
}

impl Window {
    fn new(num_wanted: usize, num_slots: usize) -> Self {
        Self { num_wanted, end: 0, uses: vec![0; num_slots], num_distinct: 0 }
    }

    fn holds(&self, slot: usize) -> bool {
        self.uses[slot] > 0
    }

    fn leave(&mut self, slots: [Option<usize>; 2]) {
        for slot in slots.into_iter().flatten() {
            self.uses[slot] -= 1;
            self.num_distinct -= usize::from(self.uses[slot] == 0);
        }
    }

    /// The computation by which the window has to grow, if any.
    fn entering(&self, row: &[Work]) -> Option<Work> {
        if self.num_distinct < self.num_wanted { row.get(self.end).copied() } else { None }
    }

    fn enter(&mut self, slots: [Option<usize>; 2]) {
        for slot in slots.into_iter().flatten() {
            self.num_distinct += usize::from(self.uses[slot] == 0);
            self.uses[slot] += 1;
        }
        self.end += 1;
    }
}
