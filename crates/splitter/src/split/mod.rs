//! Ways to cut a model into stages.

mod even;
mod explicit;
#[cfg(test)]
mod tests;
mod weights;

pub(crate) use even::layer_stages;
pub use even::split_even;
pub use explicit::split_explicit;
pub use weights::{Weights, split_even_weighted};
