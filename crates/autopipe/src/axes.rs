//! Along which axes of the mesh a rank's stages have replicas, or are shared out.

use autopipe_mesh::{Axis, AxisNames, DeviceMesh};
use autopipe_runtime::Communicator;

use crate::{DataParallel, Error};

/// One of the pipelines that train side by side, each on batches of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Which one, counted from 0: those that share parameters out stand side by side.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

/// The axes larger than one besides the pipeline's, as a rank sees them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Axes {
    /// Its ranks have the same parameters and batches of their own.
    pub(crate) replicate: Option<Along>,
    /// Its ranks share parameters out, and have batches of their own.
    pub(crate) shard: Option<Along>,
    /// Its ranks each have a part of every matrix, and the same batches.
    pub(crate) tensor: Option<Along>,
}

/// A rank's place along an axis.
#[derive(Clone, Debug)]
pub(crate) struct Along {
    axis: Axis,
    index: usize,
    size: usize,
}

/// The data-parallel axes whose names say that their ranks share parameters out.
const SHARING: [Axis; 2] = [Axis::DP_SHARD, Axis::DP_SHARD_CP];

impl Axes {
    /// # Errors
    /// For an axis along which nothing is shared out yet.
    pub(crate) fn of(mesh: &DeviceMesh, names: &AxisNames, rank: usize) -> Result<Self, Error> {
        let mut axes = Self::default();
        for (axis, size) in mesh.axes() {
            if size == 1 || *axis == names.pp_axis_name {
                continue;
            }
            let refused = || Error::Axis { axis: axis.to_string(), size };
            let place = if names.tp_axis_name.as_ref() == Some(axis) {
                &mut axes.tensor
            } else if SHARING.contains(axis) {
                &mut axes.shard
            } else if names.dp_axis_names.contains(axis) && *axis != Axis::DP_CP {
                &mut axes.replicate
            } else {
                return Err(refused());
            };
            let along = Along { axis: axis.clone(), index: mesh.index(axis, rank)?, size };
            if place.replace(along).is_some() {
                return Err(refused());
            }
        }
        Ok(axes)
    }

    /// How many pipelines there are, and of which kind.
    pub(crate) fn data_parallel(&self) -> DataParallel {
        let size = |along: &Option<Along>| along.as_ref().map_or(1, |along| along.size);
        DataParallel { replicate: size(&self.replicate), shard: size(&self.shard) }
    }

    /// The rank's number among the sets of parameters.
    pub(crate) fn replicate_index(&self) -> usize {
        self.replicate.as_ref().map_or(0, |along| along.index)
    }

    /// The rank's number among those that share a set of parameters out.
    pub(crate) fn shard_index(&self) -> usize {
        self.shard.as_ref().map_or(0, |along| along.index)
    }

    /// The rank's number among those that each have a part of every matrix.
    pub(crate) fn tensor_index(&self) -> usize {
        self.tensor.as_ref().map_or(0, |along| along.index)
    }

    /// How many of those there are.
    pub(crate) fn tensor_size(&self) -> usize {
        self.tensor.as_ref().map_or(1, |along| along.size)
    }

    pub(crate) fn replica(&self) -> Replica {
        let DataParallel { shard, .. } = self.data_parallel();
        Replica {
            index: self.replicate_index() * shard + self.shard_index(),
            count: self.data_parallel().num_pipelines(),
        }
    }
}

impl Along {
    /// This rank's end of those along the axis.
    pub(crate) fn split(
        &self,
        mesh: &DeviceMesh,
        world: &dyn Communicator,
    ) -> Result<Box<dyn Communicator>, Error> {
        along(&self.axis, mesh, world)
    }
}

/// This rank's end of those along an axis.
pub(crate) fn along(
    axis: &Axis,
    mesh: &DeviceMesh,
    world: &dyn Communicator,
) -> Result<Box<dyn Communicator>, Error> {
    let rank = world.rank();
    // The group's first rank names it.
    let group = mesh.group(axis, rank)?;
    Ok(world.split(group[0], mesh.index(axis, rank)?)?)
}
