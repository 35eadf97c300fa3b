//! What a worker is made of, and what a step of it brings.

use std::collections::BTreeMap;
use std::sync::Arc;

use autopipe_schedule::{Stage, Timeline, ValidProgram};
use autopipe_splitter::Routes;
use candle_core::Tensor;

use super::{Guard, Replicas, Sharded, TensorParallel, Tie};
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

/// What a step is to bring besides losses and gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepOptions {
    /// What becomes of the last stage's outputs. They are large: logits of a language model.
    pub outputs: Outputs,
    /// Whether to measure when every action of every rank happened.
    pub measure: bool,
    /// Whether more steps come before the gradients are used, so that they need not be summed over
    /// the replicas yet: the step after which they are used sums all of them. Where parameters are
    /// shared out, each rank holds whole gradients until then, unless they are summed after each
    /// microbatch.
    pub more_to_come: bool,
}

/// What becomes of the last stage's outputs when their loss is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outputs {
    /// They are freed, as soon as the backward has used them.
    #[default]
    Drop,
    /// The rank that owns the last stage keeps them.
    Keep,
    /// Every rank gets them.
    Everywhere,
}

/// What a step brought, the same on every rank but for the outputs.
#[derive(Clone, Debug)]
pub struct StepOutput {
    /// Each microbatch's loss times the batch's loss scale.
    pub losses: Vec<f64>,
    /// The last stage's outputs per microbatch, where [`StepOptions::outputs`] wants them.
    pub outputs: Option<Vec<Vec<Tensor>>>,
    /// When every action of every rank happened, if it was to be measured: in the type in which the
    /// simulator predicts it, in seconds since the ranks met at the beginning of the step.
    ///
    /// A computation starts when its tensors are there; a receive ends when the computation that
    /// waits for it has them. Bytes that a rank holds are there where they are counted
    /// ([`memory`](crate::memory)). After each computation the device is waited for, so that on a GPU a
    /// measured step takes somewhat longer.
    pub timeline: Option<Timeline>,
}

impl StepOutput {
    /// The sum of the microbatches' losses.
    pub fn loss(&self) -> f64 {
        self.losses.iter().sum()
    }

    /// The outputs with the microbatches put together along dimension 0; `None` where there are
    /// none.
    ///
    /// # Errors
    /// If they cannot be put together: other dimensions differ, or one is a scalar.
    pub fn merged_outputs(&self) -> candle_core::Result<Option<Vec<Tensor>>> {
        let Some(outputs) = &self.outputs else { return Ok(None) };
        let num_outputs = outputs.iter().map(Vec::len).min().unwrap_or(0);
        let merged = (0..num_outputs).map(|place| {
            let parts: Vec<&Tensor> = outputs.iter().map(|outputs| &outputs[place]).collect();
            Tensor::cat(&parts, 0)
        });
        merged.collect::<candle_core::Result<_>>().map(Some)
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
    /// The parameters of which several stages of the pipeline hold a copy, all of them on every rank:
    /// by the number of the group with which the program sums their gradients.
    pub ties: Vec<Tie>,
    /// The ranks with which this one shares its stages, if gradients are to be summed over several
    /// pipelines.
    pub replicas: Option<Replicas>,
    /// The ranks over which the parameters of this one's stages are shared out. With `replicas` too,
    /// those are the ranks that have the same slices in other such groups: each slice's gradient is
    /// summed over its group, then over them.
    pub sharded: Option<Sharded>,
    /// The ranks among which the matrices of this one's stages are cut, for which the stages were built.
    /// Other groups of the rank, its pipeline's included, are of ranks that have the same parts.
    pub tensor_parallel: Option<Arc<TensorParallel>>,
    /// The first stage with trainable parameters, the same on every rank. No stage before it computes
    /// any gradient, and it none of its inputs: what the program sends back there is empty. The
    /// first stage of all is never wrong.
    pub trained_from: Stage,
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
            .field("ties", &self.ties)
            .field("replicas", &self.replicas)
            .field("sharded", &self.sharded)
            .field("tensor_parallel", &self.tensor_parallel)
            .field("trained_from", &self.trained_from)
            .field("scale_grads", &self.scale_grads)
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}
