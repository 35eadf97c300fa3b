//! Ranks laid out along named axes: where a rank is, and who stands in line with it.

#[cfg(test)]
mod tests;

use std::iter;

use crate::{Axis, Error, Problem};

/// The most ranks a mesh can have: enough for any machine, and a list of them always fits in memory.
pub const MAX_RANKS: usize = 1 << 20;

/// Ranks laid out along named axes, the last axis running fastest.
///
/// A mesh is made whole by [`DeviceMesh::new`] or [`DeviceMesh::for_training`] and holds the ranks
/// from 0; a part of it, [`DeviceMesh::submesh`], keeps the ranks' global numbers. Wherever an axis
/// is asked for, a flattened one ([`Axis::DP`], [`Axis::DP_SHARD_CP`], [`Axis::DP_CP`]) will do if
/// the mesh has the axes it runs over.
///
/// Nothing here contacts a process: a mesh is arithmetic, and equal on every rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceMesh {
    /// The rank at coordinate 0, 0, ...
    first: usize,
    /// Slowest first; names differ, and no direction occurs twice.
    axes: Vec<Extent>,
}

/// One axis of a mesh: the directions it runs over, the slowest first. Only a flattened axis of a
/// sub-mesh runs over more than one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Extent {
    axis: Axis,
    directions: Vec<Direction>,
}

/// Equally spaced ranks: `size` of them, each `stride` after the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Direction {
    size: usize,
    stride: usize,
}

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
        let problems = problems(&axes);
        if !problems.is_empty() {
            return Err(Error::Impossible(problems));
        }
        let mut stride = 1;
        let mut extents = Vec::with_capacity(axes.len());
        for (axis, size) in axes.into_iter().rev() {
            extents.push(Extent { axis, directions: vec![Direction { size, stride }] });
            stride *= size; // at most MAX_RANKS: checked above
        }
        extents.reverse();
        Ok(DeviceMesh { first: 0, axes: extents })
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
        (0..self.world_size()).map(|position| self.rank_at(position))
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
        let offset = rank.checked_sub(self.first).ok_or_else(unknown)?;
        let coord: Vec<usize> = self.axes.iter().map(|extent| extent.index_of(offset)).collect();
        // A rank between those of a sub-mesh, or after the last, has a coordinate of another rank.
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
        Ok(self.first + self.offset_of(coord))
    }

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
        for rank in self.ranks() {
            // The first of a group is the one with index 0 along the axis.
            if line.index_of(rank - self.first) == 0 {
                groups.push((0..line.size()).map(|index| rank + line.offset_at(index)).collect());
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
        self.coord_from_rank(rank)?;
        let mut first = rank;
        let mut extents: Vec<Extent> = Vec::with_capacity(axes.len());
        for (position, axis) in axes.iter().enumerate() {
            let extent = self.extent(axis)?;
            let own = self.components(axis);
            let earlier = &axes[..position];
            let shared = earlier.iter().find(|other| {
                self.components(other).iter().any(|component| own.contains(component))
            });
            if let Some(other) = shared {
                return Err(Error::SharedAxis { first: other.clone(), second: axis.clone() });
            }
            first -= extent.offset_at(extent.index_of(rank - self.first));
            extents.push(extent);
        }
        Ok(DeviceMesh { first, axes: extents })
    }

    /// The axes and sizes as one line, such as `pp 2 x tp 4`.
    pub(crate) fn sizes_as_text(&self) -> String {
        let sizes: Vec<String> = self.axes().map(|(axis, size)| format!("{axis} {size}")).collect();
        sizes.join(" x ")
    }

    /// The rank at a position of the row-major order. The position is below the world size.
    pub(crate) fn rank_at(&self, position: usize) -> usize {
        let mut rest = position;
        let mut rank = self.first;
        for extent in self.axes.iter().rev() {
            rank += extent.offset_at(rest % extent.size());
            rest /= extent.size();
        }
        rank
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
            let axes = self.axes().map(|(axis, _)| axis.clone()).collect();
            return Err(Error::UnknownAxis { axis: axis.clone(), axes });
        }
        let of = |name: &Axis| self.axes.iter().find(|extent| extent.axis == *name);
        let directions = components.iter().filter_map(of).flat_map(|extent| &extent.directions);
        Ok(Extent { axis: axis.clone(), directions: directions.copied().collect() })
    }
}

impl Extent {
    fn size(&self) -> usize {
        self.directions.iter().map(|direction| direction.size).product()
    }

    /// How far the rank with this index lies behind the first.
    fn offset_at(&self, index: usize) -> usize {
        let mut rest = index;
        let mut offset = 0;
        for direction in self.directions.iter().rev() {
            offset += rest % direction.size * direction.stride;
            rest /= direction.size;
        }
        offset
    }

    /// The index along this axis of a rank that lies `offset` behind the first of its mesh.
    ///
    /// Each stride is a multiple of stride times size of every faster direction of the same mesh,
    /// so a quotient and a remainder single this axis out.
    fn index_of(&self, offset: usize) -> usize {
        self.directions.iter().fold(0, |index, direction| {
            index * direction.size + offset / direction.stride % direction.size
        })
    }
}

/// Everything that is wrong with the axes of a new mesh.
fn problems(axes: &[(Axis, usize)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    if axes.is_empty() {
        problems.push(Problem::NoAxis);
    }
    let has = |name: &Axis| axes.iter().any(|(axis, _)| axis == name);
    for (position, (axis, size)) in axes.iter().enumerate() {
        if axis.as_str().is_empty() {
            problems.push(Problem::EmptyName { position });
        } else if axes[..position].iter().any(|(earlier, _)| earlier == axis) {
            problems.push(Problem::DuplicateAxis { axis: axis.clone() });
        }
        let flattened = axis.flattens();
        if !flattened.is_empty() && flattened.iter().all(has) {
            problems.push(Problem::FlattenedAxis { axis: axis.clone() });
        }
        if *size == 0 {
            problems.push(Problem::ZeroSize { axis: axis.clone() });
        }
    }
    let ranks = axes.iter().try_fold(1_usize, |product, (_, size)| product.checked_mul(*size));
    if ranks.is_none_or(|ranks| ranks > MAX_RANKS) {
        let sizes: Vec<String> = axes.iter().map(|(axis, size)| format!("{axis} {size}")).collect();
        problems.push(Problem::TooManyRanks { sizes: sizes.join(" x ") });
    }
    problems
}
