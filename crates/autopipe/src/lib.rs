#![doc = include_str!("../README.md")]

mod args;
mod axes;
mod error;
mod forecast;
mod info;
mod parallelize;
mod parameters;
mod pipeline;
mod plan;
mod split;
mod summary;
mod visualize;

pub use args::PipelineArgs;
pub use axes::Replica;
pub use error::Error;
pub use forecast::{
    Forecast, ParameterBytes, RankForecast, Shards, Speed, StageForecast, Suggestion, Warning,
    Workload, forecast, predicted, suggest, warnings,
};
pub use info::PipelineInfo;
pub use parallelize::{ParallelizeFn, PartContext};
pub use pipeline::AutoPipeline;
pub use plan::{DataParallel, PipelinePlan, plan, plan_side_by_side};
pub use split::{Split, SplitError, split};

// The one place where names of other crates are gathered: what a program that trains needs.
pub use autopipe_config::PipelineConfig;
pub use autopipe_mesh::{Axis, AxisNames, DeviceMesh, Error as MeshError, MeshSizes};
pub use autopipe_runtime::{
    Batch, BoxError, Cause, Communicator, Guard, Input, InputValue, Keywords, LossFn, Model, Noise,
    OutOfMemory, Outputs, Parameter, Parameters, ProcessWorld, RankError, Recovered, StageModel,
    StepOptions, StepOutput, TensorParallelGroup, ThreadOptions, Tie, communicator, gpu_of_rank,
    gpu_peak, memory, mpi, nccl, num_gpus, restart_gpu_peak, tcp, threads,
};
pub use autopipe_schedule as schedule;
pub use autopipe_splitter as splitter;
