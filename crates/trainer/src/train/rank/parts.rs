//! What a rank is made of, for a run as for a bench.

use std::sync::Arc;

use autopipe::schedule::Plan;
use autopipe::{AutoPipeline, Communicator, DeviceMesh, LossFn, PipelineArgs, PipelineConfig};
use autopipe_config::LossName;
use autopipe_nn::cross_entropy_sum;
use candle_core::Device;

use crate::Error;

/// This rank's pipeline on the CPU, before it is built; by `table`, if there is one. A loss that is no
/// number ends its step.
pub(crate) fn pipeline(
    config: &PipelineConfig,
    mesh: &DeviceMesh,
    table: Option<Plan>,
    world: Box<dyn Communicator>,
) -> Result<AutoPipeline, Error> {
    Ok(AutoPipeline::new(args(config, mesh, table), world)?)
}

/// What it is made from.
pub(super) fn args(
    config: &PipelineConfig,
    mesh: &DeviceMesh,
    table: Option<Plan>,
) -> PipelineArgs {
    let device = Some(Device::Cpu);
    PipelineArgs { device, table, ..PipelineArgs::new(config.clone(), mesh.clone()) }
}

/// The loss of a name, as a pipeline computes it on its last stage.
pub(crate) fn loss_fn(name: LossName) -> LossFn {
    match name {
        LossName::MaskedCrossEntropy => {
            Arc::new(|outputs, labels| cross_entropy_sum(&outputs[0], labels))
        }
    }
}
