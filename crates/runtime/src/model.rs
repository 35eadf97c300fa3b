//! What a model must say of itself to be trained in stages: two traits.

use std::sync::Arc;

use autopipe_nn::{Parameters, TensorParallelGroup};
use autopipe_splitter::ModuleGraph;
use candle_core::{Device, Tensor};

use crate::Keywords;

/// Whatever went wrong inside a model that is not ours to name.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A model that can be cut into stages: it describes itself, then builds any set of its modules.
///
/// Ranks call both on their own threads, each for its own stages only, so that no rank ever holds
/// the whole model.
pub trait Model: Send + Sync {
    /// The modules in the order of the data flow, with parameters and edges. Needs no weights.
    fn graph(&self) -> ModuleGraph;

    /// Builds the stage made of `modules` (fully qualified names, a subset of the graph's nodes in
    /// their order), with its weights on `device`.
    ///
    /// Where modules share a parameter, a stage has it once: by the owner's name if the owner is
    /// there, else by the name that the graph gives it in the first of its modules that uses it. Such
    /// a copy has to begin with the owner's values.
    ///
    /// # Errors
    /// Whatever the model cannot do or load; it names file and tensor.
    fn build_stage(
        &self,
        modules: &[String],
        device: &Device,
    ) -> Result<Box<dyn StageModel>, BoxError>;

    /// As [`build_stage`](Self::build_stage), of a stage whose matrices are cut among the ranks of
    /// `group` (tensor parallelism): this rank's part of it. Each rank gets the whole inputs and hands
    /// whole outputs on; of the last stage's, where they are logits, only those of its own classes. A
    /// parameter that is cut says so, and one that is not has the same gradient on every rank.
    ///
    /// A model that does not know how keeps this answer.
    ///
    /// # Errors
    /// If the model cannot be cut among so many ranks; and as `build_stage`.
    fn build_stage_among(
        &self,
        modules: &[String],
        device: &Device,
        group: &Arc<dyn TensorParallelGroup>,
    ) -> Result<Box<dyn StageModel>, BoxError> {
        let _ = (modules, device);
        Err(Box::new(NotCuttable { num_ranks: group.size() }))
    }
}

/// A model that does not know how to cut its matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model does not say how its matrices are cut among {num_ranks} tensor-parallel ranks; implement \
     `Model::build_stage_among`, or use data-parallel ranks instead"
)]
pub struct NotCuttable {
    /// How many ranks were asked for.
    pub num_ranks: usize,
}

/// One stage of a model on one rank: a function of tensors with parameters.
///
/// It does no backward of its own: candle's graph and the layers' deferred weight gradients are
/// all that the runtime needs.
pub trait StageModel: Send {
    /// Computes one microbatch. `inputs` are the batch's tensors on the first stage (token ids of
    /// shape `[microbatch, sequence]`, say), and the outputs on the last one what the loss takes.
    ///
    /// Otherwise `inputs` are the tensors that the graph's edges bring from earlier stages, and the
    /// outputs those that its edges take to later ones, each once: in the order of the modules that
    /// make them, and of one module in the order in which its edges first name them. Along a chain
    /// that is what the former stage made. What only passes by is no concern of the stage.
    ///
    /// `keywords` are the batch's keyword inputs of this microbatch, the same for every stage; no
    /// gradient goes back to them. They also say which part of the step the microbatch is, for what
    /// a stage adds to the loss by itself, and what its random numbers depend on, if it draws any.
    ///
    /// The same inputs and keywords have to give the same outputs: a program may recompute them.
    ///
    /// # Errors
    /// Whatever candle reports; the runtime adds rank, step and action.
    fn forward(&self, inputs: &[Tensor], keywords: &Keywords) -> candle_core::Result<Vec<Tensor>>;

    /// The names of the keyword inputs that a batch may have: those that any stage of the model
    /// uses, whether this one does or not. A batch with another is refused.
    fn keywords(&self) -> &[&str] {
        &[]
    }

    /// The parameters of this stage, by their checkpoint names.
    fn parameters(&self) -> &Parameters;
}
