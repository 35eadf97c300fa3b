//! Optimisers: they update the variables of parameters in place.

mod adamw;
mod groups;
mod lion;
mod on_gpu;
mod optimizer;
mod rule;
mod sgd;
mod state;
mod update;

#[cfg(test)]
mod tests;

pub use groups::Group;
pub use optimizer::{MasterWeights, Optimizer};
pub use rule::{AdamWConfig, LionConfig, Lookahead, Rule, SgdConfig};
pub use state::State;
