#![doc = include_str!("../README.md")]

mod choice;
mod document;
mod loss;
mod nearest;
mod pipeline;
mod recipe;
mod report;
mod schema;
mod section;

pub use choice::UnknownName;
pub use loss::LossName;
pub use pipeline::{DType, Invalid, PipelineConfig, Rounding, Unsupported};
pub use recipe::{
    ActivationCheckpointing, Adapters, Checkpoint, ClipGradNorm, Dataset, Distributed,
    LrDecayStyle, LrScheduler, Model, ModelSource, MpPolicy, Optimizer, OptimizerName, Peft,
    Recipe, Rng, StepScheduler, Strategy, Tokenizer, UnevenBatch,
};
pub use report::{Problem, RecipeErrors};
pub use schema::schema;
