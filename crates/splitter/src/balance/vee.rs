//! Two stages per rank, there and back: the cut that sends least under a cap, from outside in.
//!
//! ```text
//! rank     0        1        2         2        1        0
//!       [0, i1)  [i1, i2)  [i2,     m)     ...  [j2, j1)  [j1, n)
//! ```
//!
//! Rank `r` has stage `r` from the left and stage `r` from the right, so after the outer ranks the
//! rest of the model is a run from `i` to `j`. Let `D(r, i, j)` be the least time of sending with
//! which the outer `r` ranks leave that run. Then `D(0, 0, n) = 0` and
//!
//! ```text
//! D(r + 1, i', j') = sending(i') + sending(j') + min { D(r, i, j) : rank r can take [i, i') and [j', j) }
//! ```
//!
//! and the innermost rank takes all that is left, cut anywhere, for it sends nothing to itself. What
//! a rank can take depends on its own two runs alone: so this is exact, as for a chain. There are
//! as many states as pairs of places, which is why it is for models of some hundred modules.

use super::costs::Costs;
use super::search::{Capped, Cut, TooMuch};

/// How many runs are looked at in all, which takes about half a second.
const MOST_STEPS: u64 = 1 << 25;

/// A V placement, and the effort left.
#[derive(Debug)]
pub(super) struct Vee<'a> {
    costs: &'a Costs<'a>,
    limits: &'a [f64],
    steps_left: u64,
}

impl<'a> Vee<'a> {
    /// None if the ranks are not those of a V, or the model is too large for this.
    pub(super) fn new(costs: &'a Costs<'a>, limits: &'a [f64]) -> Option<Self> {
        let (num_stages, num_ranks) = (costs.num_stages(), costs.num_ranks());
        let is_vee = num_stages == 2 * num_ranks
            && (0..num_ranks).all(|rank| costs.rank(rank) == costs.rank(num_stages - 1 - rank));
        let num_states = (costs.num_modules() + 1).pow(2).saturating_mul(num_ranks);
        (is_vee && num_states <= 1 << 22).then_some(Self { costs, limits, steps_left: MOST_STEPS })
    }

    fn spend(&mut self) -> Result<(), TooMuch> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or(TooMuch)?;
        Ok(())
    }

    /// The next row of states, and from which state of `row` each comes.
    fn step(&mut self, pair: usize, row: &Row, cap: f64) -> Result<(Row, Vec<u32>), TooMuch> {
        let (costs, num_stages) = (self.costs, self.costs.num_stages());
        let (width, right) = (costs.num_modules() + 1, num_stages - 1 - pair);
        let limit = self.limits[costs.rank(pair)];
        // Each stage inside needs a module, and all of them no more time than their ranks have.
        let inside = num_stages - 2 * (pair + 1);
        let inside_cap = cap * super::costs::float(inside / 2);
        let every = costs.time(0, 0) * super::costs::float(inside.saturating_sub(1));
        let mut next = Row(vec![f64::INFINITY; width * width]);
        let mut from = vec![u32::MAX; width * width];
        for (state, cost) in row.0.iter().enumerate().filter(|(_, cost)| cost.is_finite()) {
            let (i, j) = (state / width, state % width);
            for left_end in i + 1..j {
                self.spend()?;
                let time = costs.time(i, left_end);
                let memory = costs.memory(pair, i, left_end);
                if time > cap || memory > limit {
                    break;
                }
                for right_start in (left_end + inside..j).rev() {
                    self.spend()?;
                    if time + costs.time(right_start, j) > cap
                        || memory + costs.memory(right, right_start, j) > limit
                    {
                        break;
                    }
                    // A little more than the cap, for this sum rounds differently.
                    if costs.time(left_end, right_start) + every > inside_cap * (1.0 + 1e-9) {
                        continue;
                    }
                    let sent =
                        costs.sending(pair, left_end) + costs.sending(right - 1, right_start);
                    let to = left_end * width + right_start;
                    if cost + sent < next.0[to] {
                        next.0[to] = cost + sent;
                        from[to] = u32::try_from(state).unwrap_or(u32::MAX);
                    }
                }
            }
        }
        Ok((next, from))
    }

    /// The cheapest state that the innermost rank can take, with where it cuts.
    fn innermost(&mut self, row: &Row, cap: f64) -> Result<Option<(usize, usize)>, TooMuch> {
        let costs = self.costs;
        let (pair, width) = (costs.num_ranks() - 1, costs.num_modules() + 1);
        let limit = self.limits[costs.rank(pair)];
        let mut least = f64::INFINITY;
        let mut found = None;
        for (state, &cost) in row.0.iter().enumerate() {
            let (i, j) = (state / width, state % width);
            if cost >= least {
                continue;
            }
            let middle = i.midpoint(j);
            let mut cuts: Vec<usize> = (i + 1..j).collect();
            // The more even the better, where it does not matter.
            cuts.sort_by_key(|cut| cut.abs_diff(middle));
            for cut in cuts {
                self.spend()?;
                let time = costs.time(i, cut) + costs.time(cut, j);
                let memory = costs.memory(pair, i, cut) + costs.memory(pair + 1, cut, j);
                if time <= cap && memory <= limit {
                    (least, found) = (cost, Some((state, cut)));
                    break;
                }
            }
        }
        Ok(found)
    }
}

/// The least time of sending by `i * (n + 1) + j`; infinite where no way leads.
#[derive(Debug)]
struct Row(Vec<f64>);

impl Capped for Vee<'_> {
    fn cheapest(&mut self, cap: f64) -> Result<Option<Cut>, TooMuch> {
        let (num_modules, num_ranks) = (self.costs.num_modules(), self.costs.num_ranks());
        let width = num_modules + 1;
        let mut row = Row(vec![f64::INFINITY; width * width]);
        row.0[num_modules] = 0.0;
        let mut ways = Vec::new();
        for pair in 0..num_ranks - 1 {
            let (next, from) = self.step(pair, &row, cap)?;
            row = next;
            ways.push(from);
        }
        let Some((mut state, cut)) = self.innermost(&row, cap)? else { return Ok(None) };
        // The ends of the stages, from the inside out.
        let (mut left, mut right) = (vec![cut], Vec::new());
        for from in ways.iter().rev() {
            left.push(state / width);
            right.push(state % width);
            state = from[state] as usize;
        }
        left.reverse();
        left.append(&mut right);
        left.push(num_modules);
        Ok(Some(Cut::new(self.costs, left)))
    }

    fn least_cap(&self) -> f64 {
        // The share of each rank, and a little less, for the sums below round differently.
        let share = self.costs.all_time() / super::costs::float(self.costs.num_ranks());
        share * (1.0 - 1e-9)
    }
}
