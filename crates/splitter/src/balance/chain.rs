//! One stage per rank: the cut that sends least while no stage takes longer than a cap.
//!
//! Let `D(s, j)` be the least time of sending with which `s` stages hold the first `j` modules, and
//! no stage takes longer than the cap or more memory than its rank has. Then `D(0, 0) = 0` and
//!
//! ```text
//! D(s, j) = sending(j) + min { D(s - 1, i) : first(s, j) <= i < j }
//! ```
//!
//! where `first(s, j)` is the first module with which a stage that ends before `j` may begin. It
//! exists because a longer run of modules takes no less time or memory, and it never falls as `j`
//! grows, so the minimum slides along and all of `D(s, _)` takes one pass.
//!
//! It is exact: what a stage costs depends on its own two ends alone, so of two ways to reach
//! `(s, j)` the cheaper one stays the cheaper one whatever follows.
//!
//! Only places that `s` stages can reach from the left, and from which the other stages can reach
//! the end, are looked at. Near the least cap that is possible these are few.

use std::collections::{BTreeMap, VecDeque};

use super::costs::Costs;
use super::search::{Capped, Cut, TooMuch};

/// What does not change with the cap.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    costs: &'a Costs<'a>,
    /// For each stage where it may begin by its memory alone, by where it ends; none without limit.
    by_memory: Vec<Option<std::rc::Rc<Vec<u32>>>>,
}

impl<'a> Chain<'a> {
    /// The stages, each with the whole memory of its rank. With several stages per rank that is
    /// more than they have, so that what is found bounds what there is.
    pub(super) fn new(costs: &'a Costs<'a>, limits: &[f64]) -> Self {
        // Stages that hold the same and have the same begin at the same.
        let mut known = BTreeMap::new();
        let by_memory = (0..costs.num_stages())
            .map(|stage| {
                let limit = limits[costs.rank(stage)];
                let key = (costs.num_held(stage), limit.to_bits());
                let starts = || std::rc::Rc::new(costs.first_starts(stage, limit));
                limit
                    .is_finite()
                    .then(|| std::rc::Rc::clone(known.entry(key).or_insert_with(starts)))
            })
            .collect();
        Self { costs, by_memory }
    }

    fn first_by_memory(&self, stage: usize, end: usize) -> usize {
        self.by_memory[stage].as_ref().map_or(0, |starts| starts[end] as usize)
    }

    /// The last place where `stage` may end if it begins at `start`; `start` if it holds nothing.
    fn last_end(&self, stage: usize, start: usize, cap: f64) -> usize {
        let (costs, num_modules) = (self.costs, self.costs.num_modules());
        let fits = |end| costs.time(start, end) <= cap && self.first_by_memory(stage, end) <= start;
        last(start, num_modules, fits)
    }

    /// The first place where `stage` may begin if it ends at `end`; `end` if it holds nothing.
    fn first_start(&self, stage: usize, end: usize, cap: f64) -> usize {
        let by_memory = self.first_by_memory(stage, end);
        end - last(0, end - by_memory, |length| self.costs.time(end - length, end) <= cap)
    }

    /// How far the stages reach from the left, each as far as it can, whether or not it gets a
    /// module; for 0 to all stages.
    pub(super) fn reach(&self, cap: f64) -> Vec<usize> {
        let mut ends = vec![0];
        let mut end = 0;
        for stage in 0..self.costs.num_stages() {
            end = self.last_end(stage, end, cap);
            ends.push(end);
        }
        ends
    }

    /// Between which places the first `s` stages end, for 0 to all; none if they cannot.
    fn bands(&self, cap: f64) -> Option<Vec<(usize, usize)>> {
        let (num_modules, num_stages) = (self.costs.num_modules(), self.costs.num_stages());
        let ends = self.reach(cap);
        if ends[num_stages] < num_modules {
            return None;
        }
        let mut start = num_modules;
        let mut bands = vec![(num_modules, num_modules)];
        for stage in (0..num_stages).rev() {
            start = self.first_start(stage, start, cap);
            // At least one module for each stage, here and behind.
            let low = start.max(stage);
            let high = ends[stage].min(num_modules - (num_stages - stage));
            if low > high {
                return None;
            }
            bands.push((low, high));
        }
        bands.reverse();
        Some(bands)
    }
}

/// The largest `n` up to `most` that fits, of an ascending row of yes and then no; `least` at least.
fn last(least: usize, most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (least, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) { low = middle } else { high = middle - 1 }
    }
    low
}

impl Capped for Chain<'_> {
    fn cheapest(&mut self, cap: f64) -> Result<Option<Cut>, TooMuch> {
        let Some(bands) = self.bands(cap) else { return Ok(None) };
        let costs = self.costs;
        let mut before = vec![0.0];
        let mut begins: Vec<Vec<u32>> = Vec::new();
        for (stage, band) in bands.windows(2).enumerate() {
            let ((before_low, before_high), (low, high)) = (band[0], band[1]);
            let mut row = vec![f64::INFINITY; high - low + 1];
            let mut begin = vec![u32::MAX; high - low + 1];
            // Places where the stage may begin, each cheaper than those after it.
            let mut candidates: VecDeque<(usize, f64)> = VecDeque::new();
            let mut next = before_low;
            let mut first = before_low;
            for end in low..=high {
                while next < end && next <= before_high {
                    let cost = before[next - before_low];
                    while candidates.back().is_some_and(|(_, other)| *other >= cost) {
                        candidates.pop_back();
                    }
                    candidates.push_back((next, cost));
                    next += 1;
                }
                first = first.max(self.first_by_memory(stage, end));
                while first < end && costs.time(first, end) > cap {
                    first += 1;
                }
                while candidates.front().is_some_and(|(start, _)| *start < first) {
                    candidates.pop_front();
                }
                if let Some(&(start, cost)) = candidates.front() {
                    row[end - low] = cost + costs.sending(stage, end);
                    begin[end - low] = u32::try_from(start).unwrap_or(u32::MAX);
                }
            }
            before = row;
            begins.push(begin);
        }
        if !before[0].is_finite() {
            return Ok(None);
        }
        let mut end = costs.num_modules();
        let mut ends = vec![end];
        for (begin, band) in begins.iter().zip(&bands[1..]).rev() {
            end = begin[end - band.0] as usize;
            ends.push(end);
        }
        ends.pop();
        ends.reverse();
        Ok(Some(Cut::new(costs, ends)))
    }

    fn least_cap(&self) -> f64 {
        let costs = self.costs;
        let shortest = (0..costs.num_modules()).map(|i| costs.time(i, i + 1)).fold(0.0, f64::max);
        let enough = costs.time(0, costs.num_modules());
        super::search::least(shortest, enough, |cap| self.bands(cap).is_some()).unwrap_or(enough)
    }
}
