#![doc = include_str!("../README.md")]

mod auto_model;
mod blocks;
pub mod checkpoint;
mod config;
mod decoder;
mod error;
mod family;
pub mod hub;
mod json;
mod lora;
mod nearest;
mod options;
mod rope;
mod weights;

pub use auto_model::{
    AutoModel, from_config, from_config_with, load_folder, load_folder_with, read_config,
};
pub use checkpoint::{Checkpoint, CheckpointProblem};
pub use config::ConfigProblem;
pub use decoder::{ModuleProblem, PositionProblem, TensorParallelProblem};
pub use error::Error;
pub use family::Family;
pub use hub::{Hub, HubProblem};
pub use lora::{Adapter, Lora};
pub use options::{Options, Pattern, Recompute};
pub use weights::{AdapterWeights, WeightSource};
