//! The computations of a stage, apart from its rank: two of them may run side by side.

use autopipe_schedule::{MicroBatch, Stage};
use candle_core::Tensor;

use super::stage::{Inputs, Keep, StageRun};
use super::{Guard, LossFn};
use crate::{ActionError, Keywords};

/// One computation with all that it takes, ready to run.
pub(super) enum Job {
    /// F.
    Forward { inputs: Inputs, keywords: Keywords, keep: Keep, end: Option<End> },
    /// R; the first stage's inputs come from the batch again.
    Recompute { batch: Option<Vec<Tensor>>, keywords: Keywords, end: Option<End> },
    /// B or I of a stage that computes no gradients.
    PassBackward,
    /// R or W of such a stage.
    Nothing,
    /// B.
    Backward { grads: Vec<Tensor> },
    /// I.
    BackwardInput { grads: Vec<Tensor> },
    /// W.
    BackwardWeight,
}

/// Which computation of which microbatch, and what to look for in what it makes.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) stage: Stage,
    pub(super) microbatch: MicroBatch,
    pub(super) guard: Guard,
}

/// How the pipeline ends: what the last stage's forward does beyond its model.
pub(super) struct End {
    pub(super) loss: LossFn,
    pub(super) target: Tensor,
    /// What the reported loss is multiplied by.
    pub(super) loss_scale: f64,
    /// What the loss is multiplied by before its backward.
    pub(super) grad_scale: f64,
}

/// What a forward brought.
pub(super) struct Done {
    /// What the last stage made, without its graph; empty elsewhere.
    pub(super) outputs: Vec<Tensor>,
    /// On the last stage, the loss that is reported.
    pub(super) loss: Option<Tensor>,
}

impl Job {
    /// Computes, with the stage's own tensors of the microbatch.
    pub(super) fn run(self, stage: &mut StageRun, at: At) -> Result<Done, ActionError> {
        let At { stage: id, microbatch, guard } = at;
        let nothing = Done { outputs: Vec::new(), loss: None };
        match self {
            Self::Forward { inputs, keywords, keep, end } => {
                let outputs = stage.forward(microbatch, inputs, &keywords, keep)?;
                guard.outputs(id, microbatch, &outputs)?;
                let Some(end) = end else { return Ok(nothing) };
                stage.drop_outputs(microbatch);
                let loss_scale = end.loss_scale;
                let loss = end.reach(stage, microbatch, &outputs, keep == Keep::Graph)?;
                let scaled = (loss.detach() * loss_scale)?;
                guard.loss(microbatch, &scaled)?;
                let outputs = outputs.iter().map(Tensor::detach).collect();
                return Ok(Done { outputs, loss: Some(scaled) });
            }
            Self::Recompute { batch, keywords, end } => {
                let outputs = stage.recompute(microbatch, batch, &keywords)?;
                if let Some(end) = end {
                    end.reach(stage, microbatch, &outputs, true)?;
                }
            }
            Self::PassBackward => stage.pass_backward(microbatch),
            Self::Nothing => {}
            Self::Backward { grads } => {
                stage.backward(microbatch, grads)?;
                guard.input_grads(id, microbatch, stage.input_grads(microbatch))?;
            }
            Self::BackwardInput { grads } => {
                stage.backward_input(microbatch, grads)?;
                guard.input_grads(id, microbatch, stage.input_grads(microbatch))?;
            }
            Self::BackwardWeight => stage.backward_weight(microbatch)?,
        }
        Ok(nothing)
    }
}

impl End {
    /// Computes the loss and, if the graph is kept, lets the backward start from it.
    fn reach(
        self,
        stage: &mut StageRun,
        index: MicroBatch,
        outputs: &[Tensor],
        is_tracked: bool,
    ) -> Result<Tensor, ActionError> {
        let loss = (self.loss)(outputs, &self.target)?;
        if loss.elem_count() != 1 {
            return Err(ActionError::LossShape { dims: loss.dims().to_vec() });
        }
        if is_tracked {
            stage.set_loss(index, &loss, self.grad_scale)?;
        }
        Ok(loss)
    }
}
