#![doc = include_str!("../README.md")]

pub mod bench;
mod clip;
mod clock;
pub mod data;
mod error;
pub mod export;
pub mod generate;
mod lr;
mod metrics;
mod run_dir;
pub mod tokenizer;
mod train;
pub mod verify;
mod whole;

// What the program around a run needs, to have a folder for a name.
pub use autopipe_models::hub;

// In the signature of `train`.
pub use autopipe::ThreadOptions;
pub use clip::{clip_coefficient, grad_norm};
pub use clock::Stopwatch;
pub use error::Error;
pub use lr::{Decay, LrProblem, LrSchedule};
pub use metrics::{Event, MetricsWriter, StepRecord};
pub use run_dir::{Checkpoint, RunDir};
pub use train::{
    Finished, TrainError, model_config, pipeline_config, read_schedule, split_of, train,
    trained_dtype, trained_graph,
};
