//! Any placement: all cuts, except those that a bound rules out, within a fixed effort.
//!
//! Stages are filled from the left. What is behind them is bounded by three things: sending, by the
//! least that it takes with every stage on a rank of its own; time, by what is left until each rank
//! is as busy as the best cut's busiest; and memory, by what is left on each rank.

use super::costs::{Costs, float};
use super::search::Cut;

/// How many stages are filled in all, which takes about 30 milliseconds.
const MOST_FILLED: u32 = 1 << 19;

/// It fills stages within stages. That many have too many cuts to come to an end anyway.
const MOST_STAGES: usize = 256;

/// Cuts closer than this part of their cost are not told apart: they are sums of floats.
const ROUNDING: f64 = 1e-12;

/// The best cut and whether no other can be better: `best` itself if none was found that is.
pub(super) fn branch(costs: &Costs<'_>, limits: &[f64], best: Option<Cut>) -> (Option<Cut>, bool) {
    let num_stages = costs.num_stages();
    if num_stages > MOST_STAGES {
        return (best, false);
    }
    let behind = sending_behind(costs);
    let mut last_stages = vec![0; costs.num_ranks()];
    for stage in 0..num_stages {
        last_stages[costs.rank(stage)] = stage;
    }
    let least_cost = best.as_ref().map_or(f64::INFINITY, |cut| cut.cost(costs));
    let mut search = Search {
        costs,
        limits,
        least_sending: behind[0].iter().copied().fold(f64::INFINITY, f64::min),
        behind,
        last_stages,
        best,
        least_cost,
        left: MOST_FILLED,
        ends: Vec::with_capacity(num_stages),
        times: vec![0.0; limits.len()],
        memory: vec![0.0; limits.len()],
    };
    let complete = search.fill(0, 0, 0.0);
    (search.best, complete)
}

/// The least time of sending after each stage that ends at each place: `behind[stage][end]`, with
/// the sending of that stage; infinite where the stages behind it have too few modules.
fn sending_behind(costs: &Costs<'_>) -> Vec<Vec<f64>> {
    let (num_stages, num_modules) = (costs.num_stages(), costs.num_modules());
    let mut last = vec![f64::INFINITY; num_modules + 1];
    last[num_modules] = 0.0;
    let mut behind = vec![last];
    for stage in (0..num_stages - 1).rev() {
        let mut least = f64::INFINITY;
        let mut row = vec![f64::INFINITY; num_modules + 1];
        for end in (0..num_modules).rev() {
            least = least.min(behind[num_stages - 2 - stage][end + 1]);
            row[end] = least + costs.sending(stage, end);
        }
        behind.push(row);
    }
    behind.reverse();
    behind
}

/// The stages filled so far, and what is known of the best way to fill all.
#[derive(Debug)]
struct Search<'a> {
    costs: &'a Costs<'a>,
    limits: &'a [f64],
    least_sending: f64,
    behind: Vec<Vec<f64>>,
    /// By rank.
    last_stages: Vec<usize>,
    best: Option<Cut>,
    least_cost: f64,
    left: u32,
    ends: Vec<usize>,
    /// By rank, of the stages filled so far.
    times: Vec<f64>,
    memory: Vec<f64>,
}

impl Search<'_> {
    /// Fills `stage` and those behind it with the modules from `start`; false if the effort did not
    /// suffice. `sent` is what the stages before send.
    fn fill(&mut self, stage: usize, start: usize, sent: f64) -> bool {
        let costs = self.costs;
        let (num_modules, num_stages) = (costs.num_modules(), costs.num_stages());
        if stage == num_stages {
            let cut = Cut::new(costs, self.ends.clone());
            if cut.cost(costs) < self.least_cost {
                self.least_cost = cut.cost(costs);
                self.best = Some(cut);
            }
            return true;
        }
        let is_last = stage + 1 == num_stages;
        let rank = costs.rank(stage);
        let (time, memory) = (self.times[rank], self.memory[rank]);
        let first = if is_last { num_modules } else { start + 1 };
        for end in first..=num_modules - (num_stages - 1 - stage) {
            let Some(left) = self.left.checked_sub(1) else { return false };
            self.left = left;
            self.times[rank] = time + costs.time(start, end);
            self.memory[rank] = memory + costs.memory(stage, start, end);
            let bound = sent
                + self.behind[stage][end]
                + costs.following * self.times.iter().copied().fold(0.0, f64::max);
            let too_much = self.memory[rank] > self.limits[rank];
            let too_long = costs.following * self.times[rank] >= self.least_cost;
            let is_open = bound < self.least_cost * (1.0 - ROUNDING) && self.has_room(stage, end);
            let mut complete = true;
            if is_open && !too_much {
                self.ends.push(end);
                complete = self.fill(stage + 1, end, sent + costs.sending(stage, end));
                self.ends.pop();
            }
            (self.times[rank], self.memory[rank]) = (time, memory);
            if !complete {
                return false;
            }
            // A longer stage takes no less.
            if too_much || too_long {
                break;
            }
        }
        true
    }

    /// Whether the ranks of the stages behind `stage`, which ends at `end`, can take the rest without
    /// being busier than a better cut's busiest.
    fn has_room(&self, stage: usize, end: usize) -> bool {
        let costs = self.costs;
        let num_behind = costs.num_stages() - 1 - stage;
        if num_behind == 0 || costs.following == 0.0 || !self.least_cost.is_finite() {
            return true;
        }
        let every = costs.time(0, 0) * float(num_behind - 1);
        let rest = costs.time(end, costs.num_modules()) + every;
        let cap = (self.least_cost - self.least_sending) / costs.following;
        let room: f64 = (self.last_stages.iter().zip(&self.times))
            .filter(|(last, _)| **last > stage)
            .map(|(_, time)| (cap - time).max(0.0))
            .sum();
        // A little more, for these sums round differently.
        rest <= room * (1.0 + 1e-9)
    }
}
