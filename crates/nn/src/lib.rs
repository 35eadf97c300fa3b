#![doc = include_str!("../README.md")]

mod activation;
mod affine;
mod attention;
mod clip;
mod computed;
mod cpu;
mod cross_entropy;
mod dropout;
mod embedding;
mod error;
mod every_device;
mod gelu;
mod gpu;
pub mod init;
mod layer_norm;
mod linear;
mod moe;
pub mod optim;
mod parameter;
mod recompute;
mod rms_norm;
mod rotary;
mod swiglu;
mod tensor_parallel;
mod vjp;

#[cfg(test)]
mod oracle;

pub use affine::add_bias;
pub use attention::{Attention, Mask, Segments};
pub use clip::{grad_norm_max, grad_norm_squared, scale_grads};
pub use cross_entropy::{IGNORE_INDEX, count_labels, cross_entropy_sum, cross_entropy_sum_among};
pub use dropout::{Dropout, Noise, dropout};
pub use embedding::Embedding;
pub use error::Error;
pub use gelu::{Gelu, geglu, gelu};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use moe::Routing;
pub use parameter::{DeferredGrads, Parameter, Parameters};
pub use recompute::{Recomputed, recompute};
pub use rms_norm::RmsNorm;
pub use rotary::{RotaryEmbedding, Rotation};
pub use swiglu::swiglu;
pub use tensor_parallel::{Combine, Cut, Pass, TensorParallelGroup, enter, even_part, leave};
pub use vjp::vjp;
