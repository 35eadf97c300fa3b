//! Parts of a mesh: the ranks along an axis, and sub-meshes along several.

use super::DeviceMesh;
use super::extent::Extent;
use crate::{Axis, Error, Problem};

impl DeviceMesh {
    /// The ranks along an axis through this rank, in the axis' order; the rank is one of them.
    ///
    /// # Errors
    /// [`Error::UnknownAxis`] and [`Error::UnknownRank`].
    pub fn group(&self, axis: &Axis, rank: usize) -> Result<Vec<usize>, Error> {
        Ok(self.submesh(std::slice::from_ref(axis), rank)?.ranks().collect())
    }

    /// All groups along an axis, ordered by their first member. Each rank is in exactly one.
    ///
    /// ```
    /// use autopipe_mesh::{Axis, DeviceMesh};
    ///
    /// let mesh = DeviceMesh::new([("pp", 2), ("tp", 3)])?;
    /// assert_eq!(mesh.groups(&Axis::PP)?, [[0, 3], [1, 4], [2, 5]]);
    /// # Ok::<(), autopipe_mesh::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownAxis`].
    pub fn groups(&self, axis: &Axis) -> Result<Vec<Vec<usize>>, Error> {
        let line = self.extent(axis)?;
        let mut groups = Vec::with_capacity(self.world_size() / line.size());
        for place in self.places() {
            // The first of a group is the one with index 0 along the axis.
            if line.index_of(place - self.first) == 0 {
                let places = (0..line.size()).map(|index| place + line.offset_at(index));
                groups.push(places.map(|place| self.numbering.rank_at(place)).collect());
            }
        }
        groups.sort_unstable();
        Ok(groups)
    }

    /// The part of the mesh that lies along these axes, in this order, through this rank.
    ///
    /// ```
    /// use autopipe_mesh::{Axis, DeviceMesh, MeshSizes};
    ///
    /// let sizes = MeshSizes { pp: 2, cp: 2, ..MeshSizes::default() };
    /// let mesh = DeviceMesh::for_training(8, &sizes)?;
    /// let part = mesh.submesh(&[Axis::PP, Axis::DP], 3)?;
    /// assert_eq!(part.ranks().collect::<Vec<_>>(), [1, 3, 5, 7]);
    /// # Ok::<(), autopipe_mesh::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownAxis`], [`Error::UnknownRank`], [`Error::SharedAxis`] for axes of which two
    /// run along the same direction, and [`Error::Impossible`] for no axis at all.
    pub fn submesh(&self, axes: &[Axis], rank: usize) -> Result<DeviceMesh, Error> {
        if axes.is_empty() {
            return Err(Error::Impossible(vec![Problem::NoAxis]));
        }
        let place = self.place_of(rank)?;
        let mut first = place;
        let mut extents: Vec<Extent> = Vec::with_capacity(axes.len());
        for (position, axis) in axes.iter().enumerate() {
            let extent = self.extent(axis)?;
            if let Some(other) = axes[..position].iter().find(|other| self.overlap(other, axis)) {
                return Err(Error::SharedAxis { first: other.clone(), second: axis.clone() });
            }
            first -= extent.offset_at(extent.index_of(place - self.first));
            extents.push(extent);
        }
        Ok(DeviceMesh { first, axes: extents, numbering: self.numbering.clone() })
    }
}
