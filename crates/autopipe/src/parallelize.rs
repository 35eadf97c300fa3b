//! The hook that sees every part of the model before the pipeline has it.

use std::sync::Arc;

use autopipe_mesh::{AxisNames, DeviceMesh};
use autopipe_runtime::{BoxError, StageModel, TensorParallelGroup};

/// Where a part belongs that is on its way into the pipeline.
#[derive(Clone, Copy, Debug)]
pub struct PartContext<'a> {
    /// The part's stage, counted over the whole pipeline.
    pub stage: usize,
    /// How many stages the pipeline has.
    pub num_stages: usize,
    /// All ranks.
    pub world_mesh: &'a DeviceMesh,
    /// The expert mesh of this rank's stage.
    pub moe_mesh: Option<&'a DeviceMesh>,
    /// What the axes of both are for.
    pub axis_names: &'a AxisNames,
    /// The ranks that each have a part of the stage's matrices, if there are several. A model that can
    /// be cut has built this rank's part.
    pub tensor_parallel: Option<&'a Arc<dyn TensorParallelGroup>>,
}

/// Called once for each part of a rank, in the order of
/// [`parts`](crate::AutoPipeline::parts): it takes the stage as it was built and returns the stage to
/// train, the same one or one around it.
pub type ParallelizeFn<'a> =
    dyn FnMut(Box<dyn StageModel>, &PartContext<'_>) -> Result<Box<dyn StageModel>, BoxError> + 'a;
