//! Optimisers: they update the variables of parameters in place.

mod adamw;
mod update;

#[cfg(test)]
mod tests;

pub use adamw::{AdamW, AdamWConfig, Moments};
