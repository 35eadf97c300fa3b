#![doc = include_str!("../README.md")]

mod error;
mod graph;
mod hf;
mod nearest;
mod partition;
mod placement;
mod split;
mod virtual_stages;

pub use error::{Error, Problem};
pub use graph::{
    BatchShape, Cost, Dim, ElementType, GraphError, Module, ModuleGraph, ParameterSpec, Role,
    TensorSpec,
};
pub use hf::{
    HfError, HfModel, HfNames, HfNesting, HfProblem, generate_hf_model_fqn_per_model_part, hf_model,
};
pub use partition::{Partition, StageModules};
pub use placement::{PlacementStyle, stage_ids_this_rank};
pub use split::{split_even, split_explicit};
pub use virtual_stages::{RoundTo, ScheduleStyle, calculate_virtual_stages};
