//! The result of a split: which modules each stage has.

mod assemble;
mod table;
#[cfg(test)]
mod tests;
mod tied;

use std::collections::BTreeMap;

pub(crate) use assemble::assemble;
pub(crate) use table::runs;
pub use tied::TiedParameter;

use crate::{BatchShape, Cost, Kept};

/// A model cut into stages: every module on exactly one stage, or on all of them if its role says
/// so, and no data flows to an earlier stage. Only the splitting functions make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    stages: Vec<StageModules>,
    /// Of each module that is on one stage only.
    stage_of: BTreeMap<String, usize>,
    tied: Vec<TiedParameter>,
    num_parameters: usize,
}

/// What one stage has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageModules {
    modules: Vec<String>,
    num_parameters: usize,
    num_trainable: usize,
    /// Of each module, in their order.
    flops: Vec<Cost>,
    activation_bytes: Vec<Kept>,
}

impl StageModules {
    /// The names of the stage's modules, in data-flow order.
    pub fn modules(&self) -> &[String] {
        &self.modules
    }

    /// The same for people: runs of numbered modules as one, `model.layers.0-15`.
    pub fn module_runs(&self) -> Vec<String> {
        runs(&self.modules)
    }

    /// How many numbers the stage holds as parameters. Those that several of its modules share count
    /// once, and those that it shares with other stages count on each of them, for each has a copy:
    /// so the sum over all stages is more than
    /// [`Partition::num_parameters`] if parameters are [tied](Partition::tied).
    pub fn num_parameters(&self) -> usize {
        self.num_parameters
    }

    /// How many of them training changes: only these have gradients and what an optimiser remembers.
    pub fn num_trainable(&self) -> usize {
        self.num_trainable
    }

    /// Floating-point operations of the stage's forward pass.
    pub fn flops(&self, shape: BatchShape) -> f64 {
        self.flops.iter().map(|cost| cost.at(shape)).sum()
    }

    /// The part of its operations that is between tokens: attention's scores and sums, in which no
    /// weights take part.
    pub fn attention_flops(&self, shape: BatchShape) -> f64 {
        self.flops.iter().map(|cost| cost.of_pairs_at(shape)).sum()
    }

    /// The part of its operations that each token takes wherever it stands: what is multiplied with
    /// weights, without what tokens have to do with each other.
    pub fn flops_per_token(&self) -> u128 {
        self.flops.iter().map(|cost| u128::from(cost.per_token)).sum()
    }

    /// Bytes that the stage's forward pass keeps for the backward pass.
    pub fn activation_bytes(&self, shape: BatchShape) -> f64 {
        self.activation_bytes_among(1, shape)
    }

    /// The same on each of so many tensor-parallel ranks.
    pub fn activation_bytes_among(&self, num_ranks: usize, shape: BatchShape) -> f64 {
        self.activation_bytes.iter().map(|kept| kept.among(num_ranks, shape)).sum()
    }
}

impl Partition {
    /// All stages; the first takes the model's inputs.
    pub fn stages(&self) -> &[StageModules] {
        &self.stages
    }

    /// How many stages there are, at least 1.
    pub fn num_stages(&self) -> usize {
        self.stages.len()
    }

    /// The index of the one stage that has the module; none if no stage has it or several do.
    pub fn stage_of(&self, module: &str) -> Option<usize> {
        self.stage_of.get(module).copied()
    }

    /// The first stage with trainable parameters; none if all are frozen. Nothing before it has a
    /// gradient.
    pub fn trained_from(&self) -> Option<usize> {
        self.stages.iter().position(|stage| stage.num_trainable > 0)
    }

    /// How many numbers the parameters of the model hold; shared ones count once, on however many
    /// stages they are.
    pub fn num_parameters(&self) -> usize {
        self.num_parameters
    }

    /// The shared parameters whose copies are on different stages, in the order of the modules that
    /// declare them as shared. Empty if each stage can be trained without regard to others' weights.
    pub fn tied(&self) -> &[TiedParameter] {
        &self.tied
    }
}
