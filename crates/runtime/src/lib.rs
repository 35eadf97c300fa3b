#![doc = include_str!("../README.md")]

mod batch;
pub mod communicator;
mod error;
mod launch;
pub mod memory;
mod model;
mod worker;

pub use autopipe_nn::Parameters; // in the signature of `StageModel`
pub use batch::{Batch, BatchError, Input, InputValue, Keywords};
pub use communicator::Communicator;
pub use error::{ActionError, Error, Failure};
pub use launch::{Cause, RankError, ThreadOptions, threads};
pub use model::{BoxError, Model, StageModel};
pub use worker::{LossFn, Outputs, Programs, StepOptions, StepOutput, Worker, WorkerParts};
