//! Optimisers: they update the variables of parameters in place.

mod adamw;
mod groups;
mod lion;
mod optimizer;
mod rule;
mod sgd;
mod state;
mod update;

#[cfg(test)]
mod formulas;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use formulas::{adamw_formula, lion_formula, momentum_formula, sgd_formula};

pub use groups::Group;
pub use optimizer::{MasterWeights, Optimizer};
pub use rule::{AdamWConfig, LionConfig, Lookahead, Rule, SgdConfig};
pub use state::State;
