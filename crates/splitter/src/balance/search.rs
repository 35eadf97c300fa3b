//! From cuts under a cap to the best cut: which cap is best.
//!
//! Let `F(cap)` be the least time of sending while no rank computes longer than `cap`. It never
//! rises with the cap, so on any interval `low < cap < high` no cut is better than
//!
//! ```text
//! F(high) + following * low
//! ```
//!
//! The interval with the least such bound is halved, until no bound is below what was found. As a
//! rule sending costs much the same wherever the model is cut, and the first try, at the least cap
//! that is possible, is the last.

use super::costs::Costs;

/// Bounds closer than this part of their size are not told apart: they are sums of floats.
const ROUNDING: f64 = 1e-12;

/// Where each stage ends, and what that costs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cut {
    pub(super) ends: Vec<usize>,
    /// Seconds of all sending.
    pub(super) sending: f64,
    /// Seconds per microbatch of the busiest rank.
    pub(super) busiest: f64,
}

impl Cut {
    pub(super) fn new(costs: &Costs<'_>, ends: Vec<usize>) -> Self {
        let mut ranks = vec![0.0; costs.num_ranks()];
        let (mut start, mut sending) = (0, 0.0);
        for (stage, &end) in ends.iter().enumerate() {
            ranks[costs.rank(stage)] += costs.time(start, end);
            sending += costs.sending(stage, end);
            start = end;
        }
        Self { ends, sending, busiest: ranks.into_iter().fold(0.0, f64::max) }
    }

    /// What the cut adds to the time that no cut changes.
    pub(super) fn cost(&self, costs: &Costs<'_>) -> f64 {
        self.sending + costs.following * self.busiest
    }
}

/// Something that finds the cheapest cut under a cap.
pub(super) trait Capped {
    /// A cut that sends for the least time while no rank computes for more than `cap` seconds per
    /// microbatch; none if there is no such cut.
    fn cheapest(&mut self, cap: f64) -> Result<Option<Cut>, TooMuch>;

    /// A cap below which there is no cut.
    fn least_cap(&self) -> f64;
}

/// It would take longer than it may.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooMuch;

/// The best cut of those whose busiest rank computes for `high` seconds at most; none if none fits.
pub(super) fn best(
    costs: &Costs<'_>,
    capped: &mut impl Capped,
    high: f64,
) -> Result<Option<Cut>, TooMuch> {
    let Some(mut best) = capped.cheapest(high)? else { return Ok(None) };
    let low = capped.least_cap();
    let mut interval = Open { low, high: best.busiest, sending: best.sending };
    let mut cap = low;
    let mut open = Vec::new();
    loop {
        let above = Open { low: cap, ..interval };
        match capped.cheapest(cap)? {
            None => open.push(above),
            Some(cut) => {
                if interval.sending < cut.sending {
                    open.push(above);
                }
                open.push(Open { high: cut.busiest, sending: cut.sending, ..interval });
                if is_better(costs, &cut, &best) {
                    best = cut;
                }
            }
        }
        loop {
            let Some(next) = take_least(costs, &mut open) else { return Ok(Some(best)) };
            if !next.can_be_better(costs, &best) {
                return Ok(Some(best));
            }
            cap = next.low.midpoint(next.high);
            if next.low < cap && cap < next.high {
                interval = next;
                break;
            }
        }
    }
}

/// Caps that have not been tried, between two that have.
#[derive(Clone, Copy, Debug)]
struct Open {
    low: f64,
    high: f64,
    /// What sending takes at the high end, and so at least.
    sending: f64,
}

impl Open {
    fn bound(&self, costs: &Costs<'_>) -> f64 {
        self.sending + costs.following * self.low
    }

    fn can_be_better(&self, costs: &Costs<'_>, best: &Cut) -> bool {
        let (bound, cost) = (self.bound(costs), best.cost(costs));
        let clearly = |less: f64, more: f64| less < more * (1.0 - ROUNDING);
        clearly(bound, cost) || bound <= cost && clearly(self.low, best.busiest)
    }
}

/// Of cuts that cost the same, as all do for a single microbatch, the more even one is better.
fn is_better(costs: &Costs<'_>, one: &Cut, other: &Cut) -> bool {
    let key = |cut: &Cut| (cut.cost(costs), cut.busiest);
    key(one) < key(other)
}

fn take_least(costs: &Costs<'_>, open: &mut Vec<Open>) -> Option<Open> {
    let bounds = open.iter().map(|interval| interval.bound(costs)).enumerate();
    let (least, _) = bounds.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    Some(open.swap_remove(least))
}

/// The least number between two at which something holds that holds at all larger ones; none if it
/// does not hold at the larger one.
pub(super) fn least(low: f64, high: f64, holds: impl Fn(f64) -> bool) -> Option<f64> {
    if holds(low) {
        return Some(low);
    }
    if !holds(high) {
        return None;
    }
    let (mut low, mut high) = (low, high);
    loop {
        // Floats that are not negative are in the order of their bits.
        let middle = f64::from_bits(low.to_bits() + (high.to_bits() - low.to_bits()) / 2);
        if middle <= low || middle >= high {
            return Some(high);
        }
        if holds(middle) { high = middle } else { low = middle }
    }
}
