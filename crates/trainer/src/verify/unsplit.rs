//! The unsplit run: one stage, one forward, one backward, and nothing of pipelines.

use autopipe::Keywords;
use autopipe_nn::cross_entropy_sum;
use candle_core::DType;

use super::{Computed, Gradients, Setup};
use crate::Error;
use crate::whole::build_whole;

/// The loss and the gradients of the whole batch at once.
pub(super) fn run(setup: &Setup<'_>) -> Result<Computed, Error> {
    let batch = &setup.batch;
    let stage = build_whole(&setup.plain)?;
    let outputs = stage.forward(std::slice::from_ref(&batch.input_ids), &Keywords::new())?;
    let loss = (cross_entropy_sum(&outputs[0], &batch.labels)? / batch.num_labels_f64())?;
    let value = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    if !value.is_finite() {
        return Err(Error::Unsplit { what: "loss", value });
    }
    let mut grads = loss.backward()?;
    stage.parameters().collect(&mut grads)?;
    let mut gradients = Gradients::default();
    gradients.take(stage.parameters());
    let norm = gradients.norm()?;
    if !(norm.is_finite() && norm > 0.0) {
        return Err(Error::Unsplit { what: "gradient norm", value: norm });
    }
    Ok(Computed { loss: value, gradients })
}
