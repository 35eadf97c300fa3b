//! Looks for NaNs and infinities in what a rank computes, if somebody asked for it.

use autopipe_schedule::{MicroBatch, Stage};
use candle_core::{DType, Tensor};

use super::outcome::scalar;
use crate::{ActionError, Made};

/// Where a NaN or an infinity ends the step. Ranks may differ in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// Nowhere: it goes on into losses and gradients.
    Off,
    /// In a microbatch's loss, before the backward brings it into any gradient. The last stage's
    /// forward then waits until the device has computed the loss.
    #[default]
    Loss,
    /// Also in each stage's outputs and in the gradients of its inputs, so that the error names the
    /// action that made the first. Gradients of weights are not looked at: they go nowhere, and
    /// whoever clips by their norm sees it there. It takes another pass over each of these tensors,
    /// and each waits for the device.
    All,
}

impl Guard {
    pub(super) fn outputs(
        self,
        stage: Stage,
        microbatch: MicroBatch,
        outputs: &[Tensor],
    ) -> Result<(), ActionError> {
        self.look_at(stage, microbatch, outputs, Made::Output)
    }

    pub(super) fn input_grads(
        self,
        stage: Stage,
        microbatch: MicroBatch,
        grads: &[Tensor],
    ) -> Result<(), ActionError> {
        self.look_at(stage, microbatch, grads, Made::InputGrad)
    }

    /// Looks at a loss, scaled as it is reported.
    pub(super) fn loss(self, microbatch: MicroBatch, loss: &Tensor) -> Result<(), ActionError> {
        if self == Self::Off {
            return Ok(());
        }
        let microbatch = microbatch.index();
        let loss = scalar(loss)
            .map_err(|source| ActionError::Loss { microbatch, source: Box::new(source) })?;
        if loss.is_finite() {
            return Ok(());
        }
        Err(ActionError::LossNotFinite { microbatch, loss })
    }

    fn look_at(
        self,
        stage: Stage,
        microbatch: MicroBatch,
        tensors: &[Tensor],
        made: impl Fn(usize) -> Made,
    ) -> Result<(), ActionError> {
        if self != Self::All {
            return Ok(());
        }
        for (place, tensor) in tensors.iter().enumerate() {
            let tensor = tensor.detach();
            if !tensor.dtype().is_float() || is_finite(&tensor)? {
                continue;
            }
            let numbers = tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
            return Err(ActionError::NotFinite {
                made: made(place),
                stage: stage.index(),
                microbatch: microbatch.index(),
                nans: numbers.iter().filter(|number| number.is_nan()).count(),
                infinities: numbers.iter().filter(|number| number.is_infinite()).count(),
                of: numbers.len(),
            });
        }
        Ok(())
    }
}

/// Whether all elements are finite: what is finite leaves zero when it is taken from itself, and
/// everything else leaves NaN. The sum itself may overflow.
fn is_finite(tensor: &Tensor) -> candle_core::Result<bool> {
    if tensor.elem_count() == 0 {
        return Ok(true);
    }
    Ok(scalar(&tensor.sub(tensor)?.sum_all()?)? == 0.0)
}
