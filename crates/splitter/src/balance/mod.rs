//! The cut that takes the least time: stages of consecutive modules, by time, links and memory.
//!
//! Stages are runs of modules in the graph's order, so a cut is the place where each run ends. What
//! a step takes is in [`StepModel`]. Beside a part that no cut changes it is
//!
//! ```text
//! sending at the places where the model is cut + (num_microbatches - 1) * busiest
//! ```
//!
//! a sum and a maximum. [`search`] tries caps for the maximum; for a cap, the least sum is found by
//!
//! - [`chain`], one stage per rank: dynamic programming over (stage, place), exact;
//! - [`vee`], two per rank, there and back: dynamic programming from outside in, exact;
//! - [`branch`], any placement: all cuts that a bound does not rule out, begun at what [`local`]
//!   moves find, and exact if it comes to its end.
//!
//! All that is not exact has a fixed effort: for a hundred modules on a loop that is 50 to 150
//! milliseconds, more with more stages.

mod branch;
mod chain;
mod check;
mod costs;
mod error;
mod held;
mod infeasible;
mod local;
mod model;
mod predict;
mod search;
#[cfg(test)]
mod tests;
mod traffic;
mod vee;

use std::collections::BTreeMap;

pub use error::{BalanceError, BalanceProblem, LeastMemory};
pub use model::{Link, Memory, MemoryLimits, ModuleTimes, StepModel};
pub use predict::{Prediction, RankPrediction, StagePrediction, evaluate};

use crate::partition::assemble;
use crate::{ModuleGraph, Partition};
use chain::Chain;
use costs::Costs;
use local::Worth;
use search::{Capped as _, Cut};
use vee::Vee;

/// A balanced partition, with what is known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Balanced {
    /// The stages.
    pub partition: Partition,
    /// What a step takes with them.
    pub prediction: Prediction,
    /// Seconds: no cut into runs of modules has a shorter step.
    pub lower_bound: f64,
    /// Whether the step is as short as any: to the twelfth digit, for times are sums of floats.
    pub is_optimal: bool,
}

/// Cuts `graph` into `model.ranks.len()` stages of consecutive modules such that the step is as
/// short as it can be with the memory that the ranks have.
///
/// With one stage per rank the result is always optimal. So it is with two stages per rank in a V,
/// unless the model has too many modules (some hundred can be too many); for the rest
/// [`Balanced::is_optimal`] tells. Of cuts that take the same time, stages of about the same time
/// are preferred. The same input gives the same cut.
///
/// A module may be a stage of its own, whatever its role: an output head with a large vocabulary is
/// worth several layers.
///
/// # Errors
/// If a module is not connected to the others, `model` contradicts itself or the graph, or no cut
/// fits.
pub fn balance(graph: &ModuleGraph, model: &StepModel) -> Result<Balanced, BalanceError> {
    let costs = Costs::new(graph, model)?;
    let found = search_all(&costs).map_err(|no_cut| infeasible::reason(&costs, no_cut))?;
    let starts = std::iter::once(0).chain(found.cut.ends.iter().copied());
    let stages: BTreeMap<&str, usize> = (starts.zip(&found.cut.ends).enumerate())
        .flat_map(|(stage, (start, &end))| {
            costs.names[start..end].iter().map(move |name| (*name, stage))
        })
        .collect();
    let partition = assemble(graph, &stages, costs.num_stages(), Vec::new())?;
    let prediction = evaluate(graph, &partition, model)?;
    let step_time = prediction.step_time;
    let lower_bound = match found.bound {
        Some(bound) => (costs.all_time() + bound).min(step_time),
        None => step_time,
    };
    let is_optimal = is_optimal(lower_bound, step_time);
    Ok(Balanced { partition, prediction, lower_bound, is_optimal })
}

/// Whether a step cannot be shorter, but for rounding: times are sums of floats.
fn is_optimal(lower_bound: f64, step_time: f64) -> bool {
    lower_bound >= step_time * (1.0 - 1e-12)
}

/// The best cut that was found, and what any costs at least if it was not proved to be the best.
struct Found {
    cut: Cut,
    bound: Option<f64>,
}

/// There is no cut that fits: for sure, or as far as it was looked for.
#[derive(Clone, Copy, Debug)]
enum NoCut {
    Proved,
    NotFound,
}

fn search_all(costs: &Costs<'_>) -> Result<Found, NoCut> {
    let limits = costs.limits.as_slice();
    let mut chain = Chain::new(costs, limits);
    // With several stages per rank: as if each had all its rank's memory.
    let Ok(Some(cheapest)) = chain.cheapest(f64::INFINITY) else { return Err(NoCut::Proved) };
    if costs.num_ranks() == costs.num_stages() {
        let cut = search::best(costs, &mut chain, f64::INFINITY);
        let cut = cut.ok().flatten().ok_or(NoCut::Proved)?;
        let (cut, _) = local::improve(costs, limits, cut);
        return Ok(Found { cut, bound: None });
    }
    let bound = cheapest.sending + costs.following * costs.least_busiest();
    let all_time = costs.all_time();
    let is_enough =
        |worth: &Worth| worth.excess <= 0.0 && is_optimal(all_time + bound, all_time + worth.cost);
    let start = chain.cheapest(chain.least_cap()).ok().flatten().unwrap_or(cheapest.clone());
    let (mut cut, mut worth) = local::improve(costs, limits, start);
    if is_enough(&worth) {
        return Ok(Found { cut, bound: Some(bound) });
    }
    if let Some(mut vee) = Vee::new(costs, limits) {
        let fits = worth.excess <= 0.0;
        // A busier rank costs more than what is known already, whatever is sent.
        let high = if fits && costs.following > 0.0 {
            (worth.cost - cheapest.sending) / costs.following * (1.0 + 1e-9)
        } else {
            f64::INFINITY
        };
        if let Ok(found) = search::best(costs, &mut vee, high) {
            let cut = found.or(fits.then_some(cut)).ok_or(NoCut::Proved)?;
            let (cut, _) = local::improve(costs, limits, cut);
            return Ok(Found { cut, bound: None });
        }
    }
    (cut, worth) = local::explore(costs, limits, cut, is_enough);
    if is_enough(&worth) {
        return Ok(Found { cut, bound: Some(bound) });
    }
    let (best, is_complete) = branch::branch(costs, limits, (worth.excess <= 0.0).then_some(cut));
    let no_cut = if is_complete { NoCut::Proved } else { NoCut::NotFound };
    let (cut, _) = local::improve(costs, limits, best.ok_or(no_cut)?);
    Ok(Found { cut, bound: (!is_complete).then_some(bound) })
}
