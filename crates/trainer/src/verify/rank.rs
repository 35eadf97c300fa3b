//! One rank of the split run: a step of the pipeline, and the gradients that it leaves there.

use autopipe::{Batch, Communicator};
use autopipe_config::LossName;

use super::{Computed, Gradients, Setup};
use crate::Error;
use crate::train::{loss_fn, pipeline};

/// The loss, which every rank learns, and the gradients of this rank's stages.
pub(super) fn run(setup: &Setup<'_>, world: Box<dyn Communicator>) -> Result<Computed, Error> {
    let table = Some(setup.plan.table.clone());
    let mut pipeline = pipeline(&setup.config, &setup.mesh, table, world)?;
    pipeline.build(setup.model.as_model(), loss_fn(LossName::MaskedCrossEntropy))?;
    let batch = &setup.batch;
    let loss_scale = 1.0 / batch.num_labels_f64();
    let batch =
        Batch::new(batch.input_ids.clone(), batch.labels.clone()).with_loss_scale(loss_scale);
    let loss = pipeline.step(&batch)?.loss();
    let mut gradients = Gradients::default();
    for part in pipeline.parts()? {
        gradients.take(part);
    }
    Ok(Computed { loss, gradients })
}
