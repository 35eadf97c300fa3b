#![doc = include_str!("../README.md")]

mod auto_model;
mod blocks;
pub mod checkpoint;
mod config;
mod decoder;
mod error;
pub mod hub;
mod json;
mod llama;
mod nearest;
mod weights;

pub use auto_model::{AutoModel, Family, from_config, load_folder, read_config};
pub use checkpoint::{Checkpoint, CheckpointProblem};
pub use config::ConfigProblem;
pub use decoder::ModuleProblem;
pub use error::Error;
pub use hub::{Hub, HubProblem};
pub use llama::{Llama, LlamaConfig};
pub use weights::WeightSource;
