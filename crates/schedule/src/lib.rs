#![doc = include_str!("../README.md")]

mod action;
mod analyze;
pub mod csv;
mod generate;
mod id;
mod listing;
pub mod lower;
mod placement;
mod plan;
mod program;
pub mod render;
pub mod search;
mod simulate;
mod table;
mod timetable;
mod validate;

pub use action::{
    Action, Compute, ComputeOp, Direction, Overlap, ParseActionError, Parts, Transfer, Work,
};
pub use analyze::{
    Analysis, Bubble, Comparison, Difference, OpDifference, Place, RankDifference, analyze, compare,
};
pub use generate::{
    BackwardStyle, Extent, ExtentProblem, GenerateError, Kind, MicrobatchRule, StagesPerRank,
    Summary, UnknownKind, generate,
};
pub use id::{MicroBatch, Rank, Stage};
pub use lower::lower;
pub use placement::{Placement, PlacementError, PlacementStyle, UnknownPlacement};
pub use plan::Plan;
pub use program::Program;
pub use simulate::{
    Communication, CostError, CostKey, CostProblem, Costs, Held, MemoryPoint, PerStage, Span,
    StageCosts, Timeline, TimelineError, TimelineProblem, simulate, simulate_plan,
};
pub use table::{program_table, table};
pub use timetable::timetable;
pub use validate::{Located, Part, Rule, ValidProgram, Violation, Violations, Wait, validate};

/// The definition of the language, whose examples run as tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/ir.md")]
mod language {}
