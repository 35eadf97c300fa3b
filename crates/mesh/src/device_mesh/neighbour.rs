//! Who stands before and after a rank on an axis, with the ends open or joined to a ring.

use super::DeviceMesh;
use crate::{Axis, Error};

impl DeviceMesh {
    /// The rank after this one on an axis; nothing for the last.
    ///
    /// ```
    /// use autopipe_mesh::{Axis, DeviceMesh};
    ///
    /// let mesh = DeviceMesh::new([("pp", 3), ("tp", 2)])?;
    /// assert_eq!(mesh.next(&Axis::PP, 3)?, Some(5));
    /// assert_eq!(mesh.next(&Axis::PP, 5)?, None);
    /// assert_eq!(mesh.next_in_ring(&Axis::PP, 5)?, 1);
    /// # Ok::<(), autopipe_mesh::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownAxis`] and [`Error::UnknownRank`].
    pub fn next(&self, axis: &Axis, rank: usize) -> Result<Option<usize>, Error> {
        self.at_index(axis, rank, |index, size| (index + 1 < size).then_some(index + 1))
    }

    /// The rank before this one on an axis; nothing for the first.
    ///
    /// # Errors
    /// [`Error::UnknownAxis`] and [`Error::UnknownRank`].
    pub fn previous(&self, axis: &Axis, rank: usize) -> Result<Option<usize>, Error> {
        self.at_index(axis, rank, |index, _| index.checked_sub(1))
    }

    /// The rank after this one on an axis, where the first comes after the last.
    ///
    /// On an axis of size 1 a rank is its own neighbour.
    ///
    /// # Errors
    /// [`Error::UnknownAxis`] and [`Error::UnknownRank`].
    pub fn next_in_ring(&self, axis: &Axis, rank: usize) -> Result<usize, Error> {
        let next = self.at_index(axis, rank, |index, size| Some((index + 1) % size))?;
        Ok(next.unwrap_or(rank))
    }

    /// The rank before this one on an axis, where the last comes before the first.
    ///
    /// On an axis of size 1 a rank is its own neighbour.
    ///
    /// # Errors
    /// [`Error::UnknownAxis`] and [`Error::UnknownRank`].
    pub fn previous_in_ring(&self, axis: &Axis, rank: usize) -> Result<usize, Error> {
        let previous = self.at_index(axis, rank, |index, size| Some((index + size - 1) % size))?;
        Ok(previous.unwrap_or(rank))
    }

    /// The rank that agrees with this one on all other axes and has, on this axis, the index that
    /// `choose` makes from its own and from the axis' size.
    fn at_index(
        &self,
        axis: &Axis,
        rank: usize,
        choose: impl Fn(usize, usize) -> Option<usize>,
    ) -> Result<Option<usize>, Error> {
        let line = self.extent(axis)?;
        let place = self.place_of(rank)?;
        let index = line.index_of(place - self.first);
        let chosen = choose(index, line.size());
        Ok(chosen.map(|chosen| {
            let start = place - line.offset_at(index);
            self.numbering.rank_at(start + line.offset_at(chosen))
        }))
    }
}
