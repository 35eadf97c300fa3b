#![doc = include_str!("../README.md")]

pub mod bench;
mod clip;
mod clock;
pub mod data;
mod device;
mod error;
pub mod export;
pub mod generate;
mod lr;
mod metrics;
pub mod report;
mod run_dir;
mod state;
pub mod tensorboard;
pub mod tokenizer;
pub mod trace;
mod train;
pub mod verify;
mod whole;

// What the program around a run needs, to have a folder for a name.
pub use autopipe_models::hub;

// In the signature of `train`.
pub use autopipe::{ProcessWorld, ThreadOptions, mpi, tcp};
pub use clip::{NonFinite, NonFiniteNumber, clip_coefficient};
pub use clock::{Stopwatch, wall_time};
pub use device::{DeviceChoice, GpuProblem, NoDevice};
pub use error::Error;
pub use lr::{Decay, LrProblem, LrSchedule};
pub use metrics::{EvalRecord, Event, MetricsWriter, StepRecord, model_flops, peak_memory};
pub use run_dir::{Checkpoint, RunDir};
pub use state::{Best, StateProblem, TrainingState};
pub use train::{
    Finished, NoSpace, ProcessProblem, Stop, TrainError, TrainOptions, model_config, num_ranks,
    parameter_bytes, pipeline_config, read_schedule, split_of, train, train_in, trained_dtype,
    trained_graph,
};
