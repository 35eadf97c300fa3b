//! How many numbers any run of modules holds as parameters, where a shared tensor counts once.

use std::collections::BTreeMap;

use super::Memory;
use crate::{Module, ModuleGraph, ParameterSpec};

/// Numbers of parameters, trained and not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) trainable: u128,
    pub(super) frozen: u128,
}

impl Numbers {
    #[expect(clippy::cast_precision_loss, reason = "a size is no different at the 16th digit")]
    pub(super) fn bytes(self, memory: &Memory) -> f64 {
        self.trainable as f64 * memory.bytes_per_trainable
            + self.frozen as f64 * memory.bytes_per_frozen
    }

    fn of(parameter: &ParameterSpec) -> Self {
        let number = parameter.num_elements().unwrap_or(usize::MAX) as u128;
        if parameter.trainable {
            Self { trainable: number, frozen: 0 }
        } else {
            Self { trainable: 0, frozen: number }
        }
    }
}

impl std::ops::AddAssign for Numbers {
    fn add_assign(&mut self, other: Self) {
        self.trainable += other.trainable;
        self.frozen += other.frozen;
    }
}

impl std::ops::SubAssign for Numbers {
    fn sub_assign(&mut self, other: Self) {
        self.trainable -= other.trainable;
        self.frozen -= other.frozen;
    }
}

/// The tensors of all places, where a place is a module or a stage.
#[derive(Debug)]
pub(super) struct Held {
    /// What each place holds by itself.
    own: Vec<Numbers>,
    /// Sums of `own` over all places before each.
    before: Vec<Numbers>,
    /// A tensor that two places hold, and none between them: the two and its numbers, by the later.
    again: Vec<(usize, usize, Numbers)>,
    /// The places in `again` by the earlier one.
    by_earlier: Vec<usize>,
}

impl Held {
    /// What `num_places` places hold, by the place of each module.
    pub(super) fn new<'a>(
        graph: &'a ModuleGraph,
        num_places: usize,
        place: impl Fn(&'a Module) -> Option<usize>,
    ) -> Self {
        let mut own = vec![Numbers::default(); num_places];
        for module in graph.modules() {
            let Some(own) = place(module).and_then(|place| own.get_mut(place)) else { continue };
            for parameter in module.parameters.iter().filter(|p| p.shared_with.is_none()) {
                *own += Numbers::of(parameter);
            }
        }
        // The places of each shared tensor, with the owner's.
        let mut shared: BTreeMap<&str, (Numbers, Vec<usize>)> = BTreeMap::new();
        for [(module, _), (owner_module, owner)] in graph.shared() {
            let (Some(here), Some(there)) = (place(module), place(owner_module)) else { continue };
            let new = || (Numbers::of(owner), vec![there]);
            shared.entry(owner.name.as_str()).or_insert_with(new).1.push(here);
        }
        let mut again = Vec::new();
        for (numbers, mut places) in shared.into_values() {
            let owner = places[0];
            places.sort_unstable();
            places.dedup();
            for &place in places.iter().filter(|place| **place != owner) {
                own[place] += numbers;
            }
            again.extend(places.windows(2).map(|pair| (pair[0], pair[1], numbers)));
        }
        again.sort_by_key(|&(earlier, later, _)| (later, earlier));
        let mut by_earlier: Vec<usize> = (0..again.len()).collect();
        by_earlier.sort_by_key(|&i| again[i].0);
        let mut sum = Numbers::default();
        let mut before = vec![sum];
        before.extend(own.iter().map(|&numbers| {
            sum += numbers;
            sum
        }));
        Self { own, before, again, by_earlier }
    }

    /// What the places from `start` up to `end`, which is none of them, hold together.
    pub(super) fn range(&self, start: usize, end: usize) -> Numbers {
        let mut numbers = self.before[end];
        numbers -= self.before[start];
        let first = self.again.partition_point(|&(_, later, _)| later <= start);
        for &(earlier, later, twice) in &self.again[first..] {
            if later >= end {
                break;
            }
            if earlier >= start {
                numbers -= twice;
            }
        }
        numbers
    }

    /// A range that moves to the right, from no place at all.
    pub(super) fn window(&self) -> Window<'_> {
        let (start, end, numbers) = (0, 0, Numbers::default());
        Window { held: self, start, end, numbers, by_later: 0, by_earlier: 0 }
    }
}

/// A range whose ends both move to the right, in constant time per place and shared tensor.
#[derive(Debug)]
pub(super) struct Window<'a> {
    held: &'a Held,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) numbers: Numbers,
    /// How far the two lists of shared tensors have been looked through.
    by_later: usize,
    by_earlier: usize,
}

impl Window<'_> {
    /// Takes in the place at its end.
    pub(super) fn grow(&mut self) {
        self.numbers += self.held.own[self.end];
        while let Some(&(earlier, later, numbers)) = self.held.again.get(self.by_later)
            && later <= self.end
        {
            // What is held already is not held twice.
            if earlier >= self.start {
                self.numbers -= numbers;
            }
            self.by_later += 1;
        }
        self.end += 1;
    }

    /// Lets go of the place at its start; the range has to have one.
    pub(super) fn shrink(&mut self) {
        self.numbers -= self.held.own[self.start];
        while let Some(&i) = self.held.by_earlier.get(self.by_earlier)
            && self.held.again[i].0 <= self.start
        {
            // A later place still holds it.
            if self.held.again[i].1 < self.end {
                self.numbers += self.held.again[i].2;
            }
            self.by_earlier += 1;
        }
        self.start += 1;
    }
}
