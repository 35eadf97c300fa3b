//! The second layout of each pipeline stage's ranks: which of them share out the experts.

#[cfg(test)]
mod tests;

use crate::{Axis, DeviceMesh, Error, sizes::experts};

impl DeviceMesh {
    /// The expert mesh `(ep_shard, ep)` of the stage that this rank is part of.
    ///
    /// The ranks that share the rank's index on the pipeline axis `pp`, taken in the mesh's order,
    /// are laid out anew: `ep` of them in a row hold different experts, and ranks that stand below
    /// each other hold the same. The ranks keep their numbers, and the pipeline axis is not in it.
    /// It does not matter where among the axes the pipeline's stands, nor what it is called.
    ///
    /// ```
    /// use autopipe_mesh::{Axis, DeviceMesh, MeshSizes};
    ///
    /// let sizes = MeshSizes { pp: 2, tp: 2, ep: 2, ..MeshSizes::default() };
    /// let mesh = DeviceMesh::for_training(8, &sizes)?;
    /// let experts = mesh.expert_mesh(&Axis::PP, sizes.ep, 5)?;
    /// let drawing = "\
    /// 4 ranks: ep_shard 2 x ep 2
    ///             ep 0  ep 1
    /// ep_shard 0  4     5
    /// ep_shard 1  6     7
    /// ";
    /// assert_eq!(experts.to_string(), drawing);
    /// # Ok::<(), autopipe_mesh::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoPipelineAxis`], [`Error::UnknownRank`], and [`Error::Impossible`] if `ep` is 0 or
    /// does not divide the ranks of a stage.
    pub fn expert_mesh(&self, pp: &Axis, ep: usize, rank: usize) -> Result<DeviceMesh, Error> {
        let layout = self.expert_layout(pp, ep)?;
        let stage = self.index(pp, rank)?;
        layout.with_ranks(&self.by_index(pp)?[stage])
    }

    /// The expert meshes of all stages, in the order of the pipeline axis. Each rank is in one.
    ///
    /// # Errors
    /// [`Error::NoPipelineAxis`], and [`Error::Impossible`] if `ep` is 0 or does not divide the
    /// ranks of a stage.
    pub fn expert_meshes(&self, pp: &Axis, ep: usize) -> Result<Vec<DeviceMesh>, Error> {
        let layout = self.expert_layout(pp, ep)?;
        self.by_index(pp)?.iter().map(|ranks| layout.with_ranks(ranks)).collect()
    }

    /// The pipeline axis' size.
    pub(crate) fn pipeline_size(&self, pp: &Axis) -> Result<usize, Error> {
        self.size(pp).map_err(|_| Error::NoPipelineAxis {
            axis: pp.clone(),
            axes: self.axes().map(|(axis, _)| axis.clone()).collect(),
        })
    }

    /// The axes and sizes of each stage's expert mesh.
    fn expert_layout(&self, pp: &Axis, ep: usize) -> Result<DeviceMesh, Error> {
        let num_ranks = self.world_size() / self.pipeline_size(pp)?;
        match experts(num_ranks, ep) {
            Some(problem) => Err(Error::Impossible(vec![problem])),
            None => DeviceMesh::new([(Axis::EP_SHARD, num_ranks / ep), (Axis::EP, ep)]),
        }
    }

    /// The ranks by their index on an axis, in the mesh's order.
    fn by_index(&self, axis: &Axis) -> Result<Vec<Vec<usize>>, Error> {
        let mut ranks = vec![Vec::new(); self.size(axis)?];
        for rank in self.ranks() {
            ranks[self.index(axis, rank)?].push(rank);
        }
        Ok(ranks)
    }
}
