#![doc = include_str!("../README.md")]

// The conformance suite names it as other crates do.
#[cfg(test)]
extern crate self as autopipe_runtime;

mod batch;
pub mod communicator;
mod device;
mod error;
mod launch;
pub mod memory;
mod model;
mod panic;
mod worker;

pub use autopipe_nn::{Noise, Parameter, Parameters, TensorParallelGroup}; // in the signatures of models and workers
pub use batch::{Batch, BatchError, Input, InputValue, Keywords};
pub use communicator::{Communicator, nccl};
pub use device::{gpu_of_rank, gpu_peak, num_gpus, restart_gpu_peak};
pub use error::{ActionError, Error, Failure, Made, OutOfMemory, Place, StepPart};
pub use launch::{Cause, ProcessWorld, RankError, ThreadOptions, mpi, tcp, threads};
pub use model::{BoxError, Model, NotCuttable, StageModel};
pub use worker::{
    Guard, LossFn, Outputs, Programs, Recovered, Replicas, Sharded, StepOptions, StepOutput,
    TensorParallel, Tie, Worker, WorkerParts,
};
