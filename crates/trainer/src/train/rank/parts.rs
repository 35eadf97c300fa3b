//! What a rank is made of, for a run as for a bench.

use std::sync::Arc;

use autopipe::schedule::Plan;
use autopipe::{
    AutoPipeline, Communicator, DeviceMesh, LossFn, PipelineArgs, PipelineConfig,
    TensorParallelGroup,
};
use autopipe_config::LossName;
use autopipe_nn::{cross_entropy_sum, cross_entropy_sum_among};
use candle_core::Device;

use crate::Error;

/// This rank's pipeline on a device, before it is built; by `table`, if there is one. A loss that is no
/// number ends its step.
pub(crate) fn pipeline(
    config: &PipelineConfig,
    mesh: &DeviceMesh,
    table: Option<Plan>,
    device: Device,
    world: Box<dyn Communicator>,
) -> Result<AutoPipeline, Error> {
    Ok(AutoPipeline::new(args(config, mesh, table, device), world)?)
}

/// What it is made from.
pub(super) fn args(
    config: &PipelineConfig,
    mesh: &DeviceMesh,
    table: Option<Plan>,
    device: Device,
) -> PipelineArgs {
    PipelineArgs { device: Some(device), table, ..PipelineArgs::new(config.clone(), mesh.clone()) }
}

/// The loss of a name, as a pipeline computes it on its last stage: of whole logits, or of those that
/// each rank of a group has for its own classes.
pub(crate) fn loss_fn(name: LossName, group: Option<Arc<dyn TensorParallelGroup>>) -> LossFn {
    match (name, group) {
        (LossName::MaskedCrossEntropy, None) => {
            Arc::new(|outputs, labels| cross_entropy_sum(&outputs[0], labels))
        }
        (LossName::MaskedCrossEntropy, Some(group)) => {
            Arc::new(move |outputs, labels| cross_entropy_sum_among(&outputs[0], labels, &group))
        }
    }
}
