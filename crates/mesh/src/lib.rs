#![doc = include_str!("../README.md")]

mod axis;
mod device_mesh;
mod error;
mod picture;
mod sizes;

pub use axis::Axis;
pub use device_mesh::{DeviceMesh, MAX_RANKS};
pub use error::{Error, Problem};
pub use sizes::MeshSizes;
