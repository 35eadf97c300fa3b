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
    ActivationCheckpointing, Adapters, Arrange, Checkpoint, ClipGradNorm, DataFormat, Dataset,
    Distributed, Learn, LrDecayStyle, LrScheduler, Metrics, Model, ModelSource, MpPolicy, NormType,
    OnError, OnNonFinite, Optimizer, OptimizerName, ParamGroup, Peft, Recipe, Rng, Source,
    StepScheduler, Strategy, TokenDtype, Tokenizer, TooLong, UnevenBatch, WsdDecayStyle,
};
pub use report::{Problem, RecipeErrors};
pub use schema::schema;
