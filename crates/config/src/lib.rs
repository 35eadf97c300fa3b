#![doc = include_str!("../README.md")]

mod choice;
mod document;
mod loss;
mod nearest;
mod pipeline;
mod recipe;
mod report;
mod section;

pub use choice::UnknownName;
pub use loss::LossName;
pub use pipeline::{DType, Invalid, PipelineConfig, Rounding, Unsupported};
pub use recipe::{
    Checkpoint, ClipGradNorm, Dataset, Distributed, LrDecayStyle, LrScheduler, ModelSource,
    Optimizer, OptimizerName, Recipe, Rng, StepScheduler, Tokenizer,
};
pub use report::{Problem, RecipeErrors};
