//! What a worker is made of, and what a step of it brings.

use std::collections::BTreeMap;
use std::sync::Arc;

use autopipe_schedule::{Stage, ValidProgram};
use autopipe_splitter::Routes;
use candle_core::Tensor;

use super::Guard;
use crate::StageModel;

/// The loss of one microbatch: `(outputs of the last stage, target)` to a scalar.
pub type LossFn = Arc<dyn Fn(&[Tensor], &Tensor) -> candle_core::Result<Tensor> + Send + Sync>;

/// What a pipeline runs: a program to train with and one that only goes forward.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Forward and backward.
    pub train: Arc<ValidProgram>,
    /// Forward only, for evaluation; the same stages on the same ranks.
    pub eval: Arc<ValidProgram>,
}

/// What a step brought, the same on every rank but for the outputs.
#[derive(Clone, Debug)]
pub struct StepOutput {
    /// Each microbatch's loss times the batch's loss scale.
    pub losses: Vec<f64>,
    /// The last stage's outputs per microbatch, on the rank that owns it and if they were asked for.
    pub outputs: Option<Vec<Vec<Tensor>>>,
}

impl StepOutput {
    /// The sum of the microbatches' losses.
    pub fn loss(&self) -> f64 {
        self.losses.iter().sum()
    }
}

/// What one rank of a pipeline is made of.
pub struct WorkerParts {
    /// What is run.
    pub programs: Programs,
    /// The stages that the programs give to this rank.
    pub stages: BTreeMap<Stage, Box<dyn StageModel>>,
    /// Where tensors go that do not only go from one stage to the next; without any, each stage
    /// uses all that the former one makes.
    pub routes: Option<Routes>,
    /// The loss of one microbatch.
    pub loss: LossFn,
    /// Whether to divide the gradients of a step by its number of microbatches. Those accumulated
    /// before are left alone, unlike torch's `scale_grads`.
    pub scale_grads: bool,
    /// Where a NaN or an infinity ends the step.
    pub guard: Guard,
}

impl std::fmt::Debug for WorkerParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerParts")
            .field("stages", &self.stages.keys().collect::<Vec<_>>())
            .field("scale_grads", &self.scale_grads)
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}
