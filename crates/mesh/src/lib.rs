#![doc = include_str!("../README.md")]

mod axis;
mod axis_names;
mod device_mesh;
mod error;
mod expert;
mod picture;
mod sizes;

pub use axis::Axis;
pub use axis_names::AxisNames;
pub use device_mesh::{DeviceMesh, MAX_RANKS};
pub use error::{Error, Problem};
pub use sizes::MeshSizes;
