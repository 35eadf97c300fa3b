//! Which axes of a mesh serve which kind of parallelism, found by their names.

#[cfg(test)]
mod tests;

use crate::{Axis, DeviceMesh, Error};

/// The axes of a training run by what they are for, under the names of `AutoPipeline`'s arguments.
///
/// [`AxisNames::infer`] finds them in a mesh. The default is that of the arguments: a pipeline axis
/// `pp`, one data-parallel axis `dp`, and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AxisNames {
    /// The pipeline's axis.
    pub pp_axis_name: Axis,
    /// The axes over which data and parameters are shared out, slowest first; none if there is no
    /// data parallelism.
    pub dp_axis_names: Vec<Axis>,
    /// Context parallelism.
    pub cp_axis_name: Option<Axis>,
    /// Tensor parallelism.
    pub tp_axis_name: Option<Axis>,
    /// Expert parallelism, an axis of the expert mesh.
    pub ep_axis_name: Option<Axis>,
    /// The axes of the expert mesh over which the parameters of the same experts are shared out.
    pub ep_shard_axis_names: Option<Vec<Axis>>,
}

impl Default for AxisNames {
    fn default() -> Self {
        AxisNames {
            pp_axis_name: Axis::PP,
            dp_axis_names: vec![Axis::DP],
            cp_axis_name: None,
            tp_axis_name: None,
            ep_axis_name: None,
            ep_shard_axis_names: None,
        }
    }
}

impl AxisNames {
    /// What the axes of a mesh are for, and those of an expert mesh if there is one.
    ///
    /// All that a mesh needs is the pipeline axis, whatever its name; of the others, those are
    /// named that it has, also with size 1. Data-parallel are `dp_replicate` and `dp_shard_cp` in
    /// the mesh of a training run; in another mesh, `dp_replicate` if it is there and the first that
    /// is there of `dp_shard_cp`, `dp_shard`, `dp` and `dp_cp`. The pipeline's axis is never
    /// anything else.
    ///
    /// ```
    /// use autopipe_mesh::{Axis, AxisNames, DeviceMesh, MeshSizes};
    ///
    /// let sizes = MeshSizes { pp: 2, ep: 4, ..MeshSizes::default() };
    /// let mesh = DeviceMesh::for_training(8, &sizes)?;
    /// let experts = mesh.expert_mesh(&Axis::PP, sizes.ep, 0)?;
    /// let names = AxisNames::infer(&mesh, &Axis::PP, Some(&experts))?;
    /// assert_eq!(names.dp_axis_names, [Axis::DP_REPLICATE, Axis::DP_SHARD_CP]);
    /// assert_eq!(names.ep_axis_name, Some(Axis::EP));
    ///
    /// let mesh = DeviceMesh::new([("dp", 2), ("stage", 4)])?;
    /// let names = AxisNames::infer(&mesh, &Axis::from("stage"), None)?;
    /// assert_eq!(names.dp_axis_names, [Axis::DP]);
    /// assert_eq!(names.tp_axis_name, None);
    /// # Ok::<(), autopipe_mesh::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoPipelineAxis`], and [`Error::UnknownAxis`] for an expert mesh without `ep`.
    pub fn infer(
        mesh: &DeviceMesh,
        pp: &Axis,
        expert_mesh: Option<&DeviceMesh>,
    ) -> Result<Self, Error> {
        mesh.pipeline_size(pp)?;
        let free = |axis: &Axis| mesh.size(axis).is_ok() && !mesh.overlap(axis, pp);
        let found = |axis: Axis| free(&axis).then_some(axis);
        let sharded = [Axis::DP_SHARD_CP, Axis::DP_SHARD, Axis::DP, Axis::DP_CP];
        let sharded = sharded.into_iter().find(free);
        if let Some(expert_mesh) = expert_mesh {
            expert_mesh.size(&Axis::EP)?;
        }
        let ep_shard = expert_mesh.filter(|experts| experts.size(&Axis::EP_SHARD).is_ok());
        Ok(AxisNames {
            pp_axis_name: pp.clone(),
            dp_axis_names: found(Axis::DP_REPLICATE).into_iter().chain(sharded).collect(),
            cp_axis_name: found(Axis::CP),
            tp_axis_name: found(Axis::TP),
            ep_axis_name: expert_mesh.map(|_| Axis::EP),
            ep_shard_axis_names: ep_shard.map(|_| vec![Axis::EP_SHARD]),
        })
    }
}
