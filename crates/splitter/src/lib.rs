#![doc = include_str!("../README.md")]

mod balance;
mod error;
mod graph;
mod hf;
mod layout;
mod nearest;
mod partition;
mod picture;
mod placement;
mod route;
mod short;
mod split;
mod virtual_stages;

pub use balance::{
    BalanceError, BalanceProblem, Balanced, LeastMemory, Link, Memory, MemoryLimits, ModuleTimes,
    Prediction, RankPrediction, StagePrediction, StepModel, balance, evaluate,
};
pub use error::{Error, Problem};
pub use graph::{
    BatchShape, Cost, Dim, ElementType, GraphError, Kept, Module, ModuleGraph, ParameterSpec, Role,
    TensorSpec,
};
pub use hf::{
    HfError, HfModel, HfNames, HfNesting, HfProblem, generate_hf_model_fqn_per_model_part, hf_model,
};
pub use layout::{Layout, LayoutError, LayoutProblem, LayoutStage, split_layout};
pub use partition::{Partition, StageModules, TiedParameter};
pub use picture::Picture;
pub use placement::{PlacementStyle, stage_ids_this_rank};
pub use route::{RouteError, RoutedTensor, Routes, Sent, StageRoute, routes};
pub use short::{short, short_bytes, with_commas};
pub use split::{Weights, split_even, split_even_weighted, split_explicit};
pub use virtual_stages::{RoundTo, ScheduleStyle, calculate_virtual_stages};
