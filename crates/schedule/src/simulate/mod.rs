//! Says when everything of a schedule would happen, given what things cost.

mod check;
mod costs;
mod memory;
mod moments;
mod plan;
mod program;
mod span;
#[cfg(test)]
mod tests;
mod timeline;
mod transport;

pub use check::{TimelineError, TimelineProblem};
pub use costs::{Communication, CostError, CostKey, CostProblem, Costs, PerStage, StageCosts};
pub use memory::MemoryPoint;
pub use plan::simulate_plan;
pub use program::simulate;
pub(crate) use span::holds_rank;
pub use span::{Held, Span};
pub use timeline::Timeline;
