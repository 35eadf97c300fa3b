//! What a pipeline is made from: the arguments of the original's constructor.

use autopipe_config::PipelineConfig;
use autopipe_mesh::{Axis, AxisNames, DeviceMesh};
use autopipe_runtime::{Guard, gpu_of_rank};
use autopipe_schedule::Plan;
use candle_core::Device;

use crate::Error;

/// The arguments of [`AutoPipeline`](crate::AutoPipeline), the same on every rank but for the
/// device.
///
/// Of the original's, fourteen are the fields of [`PipelineConfig`]; the others are here under their
/// names.
///
/// ```
/// use autopipe::{DeviceMesh, PipelineArgs, PipelineConfig};
///
/// let config = PipelineConfig { pp_batch_size: 4, ..PipelineConfig::default() };
/// let args = PipelineArgs::new(config, DeviceMesh::new([("pp", 2)])?);
/// assert!(args.defer_fsdp_grad_sync && args.axis_names.is_none());
/// # Ok::<(), autopipe::MeshError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PipelineArgs {
    /// How the pipeline is scheduled and split.
    pub config: PipelineConfig,
    /// All ranks; the pipeline runs along one axis of it.
    pub world_mesh: DeviceMesh,
    /// The expert mesh of this rank's stage, if the model has experts that are shared out.
    pub moe_mesh: Option<DeviceMesh>,
    /// What the axes of the meshes are for; `None` infers it from their names, with the pipeline
    /// along `pp`.
    pub axis_names: Option<AxisNames>,
    /// Whether gradients are summed over data-parallel ranks once at the end of a step, instead of
    /// after every microbatch.
    pub defer_fsdp_grad_sync: bool,
    /// Where a NaN or an infinity ends a step: by default in a microbatch's loss, before its backward
    /// brings it into any gradient.
    pub guard: Guard,
    /// Where this rank's stages are; `None` for a GPU if there is one that this build can use, of
    /// several the one of the rank's number, counted round, and the CPU otherwise. Ranks that are threads
    /// need a device of their own each.
    pub device: Option<Device>,
    /// The schedule as a table, read from `pp_schedule_csv` or made by hand. It alone then decides
    /// what is computed where.
    pub table: Option<Plan>,
}

impl PipelineArgs {
    /// The default for all but the two that have none.
    pub fn new(config: PipelineConfig, world_mesh: DeviceMesh) -> Self {
        Self {
            config,
            world_mesh,
            moe_mesh: None,
            axis_names: None,
            defer_fsdp_grad_sync: true,
            guard: Guard::default(),
            device: None,
            table: None,
        }
    }

    /// What the axes are for, given or inferred; those that are given have to be there.
    pub(crate) fn names(&self) -> Result<AxisNames, Error> {
        let Some(names) = &self.axis_names else {
            return Ok(AxisNames::infer(&self.world_mesh, &Axis::PP, self.moe_mesh.as_ref())?);
        };
        self.world_mesh.size(&names.pp_axis_name)?;
        let of_world = names.dp_axis_names.iter().chain(&names.cp_axis_name);
        for axis in of_world.chain(&names.tp_axis_name) {
            self.world_mesh.size(axis)?;
        }
        let of_experts =
            names.ep_axis_name.iter().chain(names.ep_shard_axis_names.iter().flatten());
        for axis in of_experts {
            let mesh = self.moe_mesh.as_ref();
            mesh.ok_or_else(|| Error::NoExpertMesh { axis: axis.to_string() })?.size(axis)?;
        }
        Ok(names.clone())
    }

    /// The device of a rank, given or found.
    pub(crate) fn device(&self, rank: usize) -> Result<Device, Error> {
        if let Some(device) = &self.device {
            return Ok(device.clone());
        }
        let gpu = gpu_of_rank(rank).map_err(|source| Error::Device { rank, source })?;
        Ok(gpu.unwrap_or(Device::Cpu))
    }
}
