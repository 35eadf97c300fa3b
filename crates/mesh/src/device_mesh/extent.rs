//! One axis of a mesh as steps between places: from an index to an offset, and back.

use crate::Axis;

/// One axis of a mesh: the directions it runs over, the slowest first. Only a flattened axis of a
/// sub-mesh runs over more than one.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    pub(super) axis: Axis,
    pub(super) directions: Vec<Direction>,
}

/// Equally spaced places: `size` of them, each `stride` after the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direction {
    pub(super) size: usize,
    pub(super) stride: usize,
}

impl Extent {
    pub(super) fn size(&self) -> usize {
        self.directions.iter().map(|direction| direction.size).product()
    }

    /// How far the place with this index lies behind the first.
    pub(super) fn offset_at(&self, index: usize) -> usize {
        let mut rest = index;
        let mut offset = 0;
        for direction in self.directions.iter().rev() {
            offset += rest % direction.size * direction.stride;
            rest /= direction.size;
        }
        offset
    }

    /// The index along this axis of a place that lies `offset` behind the first of its mesh.
    ///
    /// Each stride is a multiple of stride times size of every faster direction of the same mesh,
    /// so a quotient and a remainder single this axis out.
    pub(super) fn index_of(&self, offset: usize) -> usize {
        self.directions.iter().fold(0, |index, direction| {
            index * direction.size + offset / direction.stride % direction.size
        })
    }
}
