//! Ranks laid out along named axes: where a rank is, and who stands in line with it.

mod check;
mod extent;
mod neighbour;
mod numbering;
mod part;
#[cfg(test)]
mod tests;

use std::iter;

use self::extent::{Direction, Extent};
use self::numbering::Numbering;
use crate::{Axis, Error};

/// The most ranks a mesh can have: enough for any machine, and a list of them always fits in memory.
pub const MAX_RANKS: usize = 1 << 20;

/// Ranks laid out along named axes, the last axis running fastest.
///
/// A mesh is made whole by [`DeviceMesh::new`] or [`DeviceMesh::for_training`] and holds the ranks
/// from 0, or those that [`DeviceMesh::with_ranks`] gives it; a part of it,
/// [`DeviceMesh::submesh`], keeps the ranks' global numbers. Wherever an axis is asked for, a
/// flattened one ([`Axis::DP`], [`Axis::DP_SHARD_CP`], [`Axis::DP_CP`]) will do if the mesh has the
/// axes it runs over.
///
/// Nothing here contacts a process: a mesh is arithmetic, and equal on every rank. Two meshes are
/// equal if they have the same axes and, at each coordinate, the same rank.
#[derive(Debug, Clone)]
pub struct DeviceMesh {
    /// The place at coordinate 0, 0, ...
    first: usize,
    /// Slowest first; names differ, and no direction occurs twice.
    axes: Vec<Extent>,
    /// Places are what strides count; this says which rank stands at each.
    numbering: Numbering,
}

impl PartialEq for DeviceMesh {
    fn eq(&self, other: &Self) -> bool {
        self.axes().eq(other.axes()) && self.ranks().eq(other.ranks())
    }
}

impl Eq for DeviceMesh {}

impl DeviceMesh {
    /// A mesh of these axes, slowest first, over the ranks from 0.
    ///
    /// ```
    /// use autopipe_mesh::DeviceMesh;
    ///
    /// let mesh = DeviceMesh::new([("pp", 2), ("tp", 3)])?;
    /// assert_eq!(mesh.world_size(), 6);
    /// assert_eq!(mesh.coord_from_rank(4)?, [1, 1]);
    /// # Ok::<(), autopipe_mesh::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Impossible`] with every problem of the names and sizes.
    pub fn new<A: Into<Axis>>(axes: impl IntoIterator<Item = (A, usize)>) -> Result<Self, Error> {
        let axes: Vec<(Axis, usize)> =
            axes.into_iter().map(|(axis, size)| (axis.into(), size)).collect();
        let problems = check::axes(&axes);
        if !problems.is_empty() {
            return Err(Error::Impossible(problems));
        }
        Ok(Self::laid_out(axes, 0, Numbering::Counted))
    }

    /// The same axes over other ranks, given in the order in which the last axis runs fastest.
    ///
    /// The list says which machine stands where: neighbours on an axis where the wires are short,
    /// or a run that goes on without some ranks.
    ///
    /// ```
    /// use autopipe_mesh::{Axis, DeviceMesh};
    ///
    /// let mesh = DeviceMesh::new([("pp", 2), ("tp", 2)])?.with_ranks(&[0, 4, 1, 5])?;
    /// assert_eq!(mesh.group(&Axis::TP, 5)?, [1, 5]);
    /// assert_eq!(mesh.coord_from_rank(4)?, [0, 1]);
    /// # Ok::<(), autopipe_mesh::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Impossible`] if there are more or fewer ranks than the mesh has, or if a rank is
    /// given more than once.
    pub fn with_ranks(&self, ranks: &[usize]) -> Result<Self, Error> {
        let problems = check::ranks(ranks, self);
        if !problems.is_empty() {
            return Err(Error::Impossible(problems));
        }
        let (numbering, first) = Numbering::of(ranks);
        let axes = self.axes().map(|(axis, size)| (axis.clone(), size)).collect();
        Ok(Self::laid_out(axes, first, numbering))
    }

    /// Axes that were checked, over consecutive places.
    fn laid_out(axes: Vec<(Axis, usize)>, first: usize, numbering: Numbering) -> Self {
        let mut stride = 1;
        let mut extents = Vec::with_capacity(axes.len());
        for (axis, size) in axes.into_iter().rev() {
            extents.push(Extent { axis, directions: vec![Direction { size, stride }] });
            stride *= size; // at most MAX_RANKS: checked by whoever calls
        }
        extents.reverse();
        DeviceMesh { first, axes: extents, numbering }
    }

    /// How many ranks the mesh has: the product of its sizes.
    #[must_use]
    pub fn world_size(&self) -> usize {
        self.axes.iter().map(Extent::size).product()
    }

    /// The axes and their sizes, slowest first.
    pub fn axes(&self) -> impl ExactSizeIterator<Item = (&Axis, usize)> {
        self.axes.iter().map(|extent| (&extent.axis, extent.size()))
    }

    /// The ranks, the last axis running fastest.
    pub fn ranks(&self) -> impl Iterator<Item = usize> {
        self.places().map(|place| self.numbering.rank_at(place))
    }

    /// How many ranks stand along an axis.
    ///
    /// # Errors
    /// [`Error::UnknownAxis`].
    pub fn size(&self, axis: &Axis) -> Result<usize, Error> {
        Ok(self.extent(axis)?.size())
    }

    /// Where a rank is: its index on each axis, in the axes' order.
    ///
    /// # Errors
    /// [`Error::UnknownRank`].
    pub fn coord_from_rank(&self, rank: usize) -> Result<Vec<usize>, Error> {
        let unknown = || Error::UnknownRank {
            rank,
            world_size: self.world_size(),
            mesh: self.sizes_as_text(),
        };
        let place = self.numbering.place_of(rank).ok_or_else(unknown)?;
        let offset = place.checked_sub(self.first).ok_or_else(unknown)?;
        let coord: Vec<usize> = self.axes.iter().map(|extent| extent.index_of(offset)).collect();
        // A place between those of a sub-mesh, or after the last, has a coordinate of another one.
        if self.offset_of(&coord) == offset { Ok(coord) } else { Err(unknown()) }
    }

    /// The rank at a coordinate, given in the axes' order.
    ///
    /// # Errors
    /// [`Error::CoordinateLength`] and [`Error::CoordinateRange`].
    pub fn rank_from_coord(&self, coord: &[usize]) -> Result<usize, Error> {
        if coord.len() != self.axes.len() {
            return Err(Error::CoordinateLength {
                got: coord.len(),
                expected: self.axes.len(),
                mesh: self.sizes_as_text(),
            });
        }
        let beyond = iter::zip(&self.axes, coord).find(|(extent, index)| **index >= extent.size());
        if let Some((extent, &index)) = beyond {
            let (axis, size) = (extent.axis.clone(), extent.size());
            return Err(Error::CoordinateRange { axis, index, size });
        }
        Ok(self.numbering.rank_at(self.first + self.offset_of(coord)))
    }

    /// Where a rank stands along one axis, flattened or not: its index in the axis' group.
    ///
    /// ```
    /// use autopipe_mesh::{Axis, DeviceMesh, MeshSizes};
    ///
    /// let sizes = MeshSizes { tp: 2, dp_replicate: 2, ..MeshSizes::default() };
    /// let mesh = DeviceMesh::for_training(8, &sizes)?;
    /// assert_eq!(mesh.index(&Axis::DP, 6)?, 3); // which part of the data rank 6 reads
    /// # Ok::<(), autopipe_mesh::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownAxis`] and [`Error::UnknownRank`].
    pub fn index(&self, axis: &Axis, rank: usize) -> Result<usize, Error> {
        let line = self.extent(axis)?;
        Ok(line.index_of(self.place_of(rank)? - self.first))
    }

    /// The axes and sizes as one line, such as `pp 2 x tp 4`.
    pub(crate) fn sizes_as_text(&self) -> String {
        let sizes: Vec<String> = self.axes().map(|(axis, size)| format!("{axis} {size}")).collect();
        sizes.join(" x ")
    }

    /// The rank at a position of the row-major order. The position is below the world size.
    pub(crate) fn rank_at(&self, position: usize) -> usize {
        self.numbering.rank_at(self.place_at(position))
    }

    /// Whether two axes of the mesh run along a direction that they have in common.
    pub(crate) fn overlap(&self, one: &Axis, other: &Axis) -> bool {
        self.components(one).iter().any(|axis| self.components(other).contains(axis))
    }

    /// The places, the last axis running fastest.
    fn places(&self) -> impl Iterator<Item = usize> {
        (0..self.world_size()).map(|position| self.place_at(position))
    }

    fn place_at(&self, position: usize) -> usize {
        let mut rest = position;
        let mut place = self.first;
        for extent in self.axes.iter().rev() {
            place += extent.offset_at(rest % extent.size());
            rest /= extent.size();
        }
        place
    }

    /// The place of a rank of this mesh.
    fn place_of(&self, rank: usize) -> Result<usize, Error> {
        Ok(self.first + self.offset_of(&self.coord_from_rank(rank)?))
    }

    fn offset_of(&self, coord: &[usize]) -> usize {
        iter::zip(&self.axes, coord).map(|(extent, index)| extent.offset_at(*index)).sum()
    }

    /// The axes of this mesh that a name means: itself, or those it flattens if all are there.
    fn components<'a>(&self, axis: &'a Axis) -> &'a [Axis] {
        let has = |name: &Axis| self.axes.iter().any(|extent| extent.axis == *name);
        let flattened = axis.flattens();
        if has(axis) {
            std::slice::from_ref(axis)
        } else if flattened.iter().all(has) {
            flattened
        } else {
            &[]
        }
    }

    fn extent(&self, axis: &Axis) -> Result<Extent, Error> {
        let components = self.components(axis);
        if components.is_empty() {
            let flattened = [Axis::DP, Axis::DP_SHARD_CP, Axis::DP_CP].into_iter();
            let flattened = flattened.filter(|axis| !self.components(axis).is_empty());
            let mut axes: Vec<Axis> = self.axes().map(|(axis, _)| axis.clone()).collect();
            axes.extend(flattened.filter(|axis| self.axes.iter().all(|own| own.axis != *axis)));
            return Err(Error::UnknownAxis { axis: axis.clone(), axes });
        }
        let of = |name: &Axis| self.axes.iter().find(|extent| extent.axis == *name);
        let directions = components.iter().filter_map(of).flat_map(|extent| &extent.directions);
        Ok(Extent { axis: axis.clone(), directions: directions.copied().collect() })
    }
}
