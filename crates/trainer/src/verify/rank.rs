//! One rank of the split run: a step of the pipeline, and the gradients that it leaves there.

use std::collections::BTreeMap;

use autopipe::{Batch, Communicator};
use autopipe_config::LossName;
use candle_core::Device;

use super::{Computed, Gradients, Setup};
use crate::Error;
use crate::train::{loss_fn, pipeline};

/// The loss, which every rank learns, and the gradients of this rank's stages.
pub(super) fn run(setup: &Setup<'_>, world: Box<dyn Communicator>) -> Result<Computed, Error> {
    let table = Some(setup.plan.table.clone());
    let mut pipeline = pipeline(&setup.config, &setup.mesh, table, Device::Cpu, world)?;
    pipeline.build(setup.model.as_model(), loss_fn(LossName::MaskedCrossEntropy, None))?;
    let batch = &setup.batch;
    let loss_scale = 1.0 / batch.num_labels_f64();
    let batch =
        Batch::new(batch.input_ids.clone(), batch.labels.clone()).with_loss_scale(loss_scale);
    let loss = pipeline.step(&batch)?.loss();
    // Each copy of a parameter that stages share has the gradient of all of them, by its owner's name.
    let tied = pipeline.plan()?.partition.tied().iter();
    let owners: BTreeMap<&str, &str> =
        tied.map(|tied| (tied.parameter.as_str(), tied.owner.as_str())).collect();
    let mut gradients = Gradients::default();
    for parameter in pipeline.parts()?.into_iter().flatten().filter(|p| p.is_trainable()) {
        let name = owners.get(parameter.name()).copied().unwrap_or(parameter.name());
        gradients.push(name, parameter.grad());
    }
    Ok(Computed { loss, gradients })
}
