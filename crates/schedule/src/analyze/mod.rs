//! Says why a schedule takes as long as it takes: what waits for what, what must not take longer,
//! and where ranks are idle.

mod bubble;
mod compare;
mod latest;
mod lookup;
mod network;
mod place;
#[cfg(test)]
mod tests;

pub use bubble::Bubble;
pub use compare::{Comparison, Difference, OpDifference, RankDifference, compare};
pub use place::Place;
use serde::Serialize;

use crate::{Costs, MemoryPoint, Timeline};
use latest::Latest;
use lookup::Lookup;
use network::Network;

/// Why a timeline is as long as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// The actions that determine the makespan, the earliest first. What lies between one and the
    /// next is the time of a message, or nothing; in a measured timeline, also what no cost
    /// accounts for.
    pub critical_path: Vec<Place>,
    /// How long the actions and the messages of the critical path take: the makespan, but for what
    /// no cost accounts for.
    pub critical_length: f64,
    /// By rank and step, how much later an action could start without a longer makespan.
    pub slack: Vec<Vec<f64>>,
    /// By rank, the idle time and its causes.
    pub bubble: Vec<Bubble>,
    /// By rank, what it holds over time.
    pub memory: Vec<Vec<MemoryPoint>>,
    /// By rank and step, what an action waits for: the action before it in its row first, then those
    /// whose tensors or signals it needs.
    pub dependencies: Vec<Vec<Vec<Place>>>,
}

/// Looks for what determines a timeline, simulated or measured.
///
/// The costs say how long messages take and how they pass; they should be those that the timeline
/// was simulated with, or [`Costs::measured`]. The times of actions are those of the timeline. Linear
/// in the number of actions.
///
/// # Examples
/// ```
/// use autopipe_schedule::{Costs, Extent, Kind, analyze, generate, simulate_plan};
///
/// let extent = Extent { num_ranks: 2, stages_per_rank: 1, num_microbatches: 2 };
/// let timeline = simulate_plan(&generate(Kind::OneFOneB, &extent)?, &Costs::UNIT);
/// let analysis = analyze(&timeline, &Costs::UNIT);
///
/// let action = |at: &autopipe_schedule::Place| timeline.row(at.rank)[at.step].action.to_string();
/// let path: Vec<String> = analysis.critical_path.iter().map(action).collect();
/// assert_eq!(path, ["0F0", "1F0", "1B0", "1F1", "1B1", "0B1"]);
/// assert_eq!(analysis.critical_length, timeline.makespan());
/// assert_eq!(analysis.slack[0], [0.0, 2.0, 1.0, 0.0], "0F1 and 0B0 could start later");
/// assert_eq!(analysis.bubble[1].warm_up, 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn analyze(timeline: &Timeline, costs: &Costs) -> Analysis {
    let lookup = Lookup::new(timeline);
    let network = Network::new(timeline, costs, &lookup);
    let latest = Latest::new(&network);
    let critical = latest.critical_path(&network);
    Analysis {
        slack: latest.slack(&network, &lookup, &critical),
        critical_path: critical.nodes.iter().map(|&node| lookup.place(node)).collect(),
        critical_length: critical.length,
        bubble: bubble::attribute(timeline, &lookup),
        memory: timeline.memory(costs),
        dependencies: network.dependencies(&lookup),
    }
}
