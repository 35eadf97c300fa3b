//! Ways to cut a model into stages.

mod even;
mod explicit;
#[cfg(test)]
mod tests;

pub(crate) use even::layer_stages;
pub use even::split_even;
pub use explicit::split_explicit;
