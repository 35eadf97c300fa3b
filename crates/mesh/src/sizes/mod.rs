//! The mesh of a training run, from how many ranks each kind of parallelism takes.

#[cfg(test)]
mod tests;

use crate::{Axis, DeviceMesh, Error, Problem};

/// How many ranks each kind of parallelism takes. The default is 1 of each, with `dp` inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeshSizes {
    /// Pipeline-parallel ranks.
    pub pp: usize,
    /// How many whole copies of the parameters the data-parallel ranks hold.
    pub dp_replicate: usize,
    /// All data-parallel ranks, replicated and sharded; `None` takes what the others leave.
    pub dp: Option<usize>,
    /// Context-parallel ranks.
    pub cp: usize,
    /// Tensor-parallel ranks.
    pub tp: usize,
    /// Expert-parallel ranks: no axis beside the others but a second layout of each stage's ranks,
    /// which [`DeviceMesh::expert_mesh`] makes. Here it is only checked that `ep` divides them.
    pub ep: usize,
}

impl Default for MeshSizes {
    fn default() -> Self {
        MeshSizes { pp: 1, dp_replicate: 1, dp: None, cp: 1, tp: 1, ep: 1 }
    }
}

impl DeviceMesh {
    /// The mesh of a training run: `pp`, `dp_replicate`, `dp_shard`, `cp`, `tp`, slowest first.
    ///
    /// Every axis is there, also with size 1. `dp_shard` is `dp / dp_replicate`, and where `dp` is
    /// not given it is `world_size / (pp * cp * tp)`. `ep` has to divide `world_size / pp`.
    ///
    /// ```
    /// use autopipe_mesh::{Axis, DeviceMesh, MeshSizes};
    ///
    /// let mesh = DeviceMesh::for_training(8, &MeshSizes { pp: 2, tp: 2, ..MeshSizes::default() })?;
    /// assert_eq!(mesh.size(&Axis::DP_SHARD)?, 2);
    /// assert_eq!(mesh.group(&Axis::PP, 6)?, [2, 6]);
    /// # Ok::<(), autopipe_mesh::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Impossible`] with every problem of the sizes.
    pub fn for_training(world_size: usize, sizes: &MeshSizes) -> Result<Self, Error> {
        let problems = zeros(world_size, sizes);
        if !problems.is_empty() {
            return Err(Error::Impossible(problems));
        }
        let MeshSizes { pp, dp_replicate, dp, cp, tp, ep } = *sizes;
        let mut problems = Vec::new();
        let dp = match dp {
            Some(dp) => {
                if checked_product(&[pp, dp, cp, tp]) != Some(world_size) {
                    problems.push(Problem::WorldSize { world_size, pp, dp, cp, tp });
                }
                Some(dp)
            }
            None => {
                let inferred = checked_product(&[pp, cp, tp])
                    .filter(|others| world_size.is_multiple_of(*others))
                    .map(|others| world_size / others);
                if inferred.is_none() {
                    problems.push(Problem::Indivisible { world_size, pp, cp, tp });
                }
                inferred
            }
        };
        let dp_shard = dp.map_or(1, |dp| {
            if !dp.is_multiple_of(dp_replicate) {
                problems.push(Problem::Replicas { dp, dp_replicate });
            }
            dp / dp_replicate
        });
        if world_size.is_multiple_of(pp) {
            problems.extend(experts(world_size / pp, ep));
        }
        if !problems.is_empty() {
            return Err(Error::Impossible(problems));
        }
        DeviceMesh::new([
            (Axis::PP, pp),
            (Axis::DP_REPLICATE, dp_replicate),
            (Axis::DP_SHARD, dp_shard),
            (Axis::CP, cp),
            (Axis::TP, tp),
        ])
    }
}

/// A zero makes every later check meaningless, so zeros are reported alone, all of them.
fn zeros(world_size: usize, sizes: &MeshSizes) -> Vec<Problem> {
    let MeshSizes { pp, dp_replicate, dp, cp, tp, ep } = *sizes;
    let world = (world_size == 0).then_some(Problem::EmptyWorld);
    let axes = [
        (Axis::PP, pp),
        (Axis::DP_REPLICATE, dp_replicate),
        (Axis::DP, dp.unwrap_or(1)),
        (Axis::CP, cp),
        (Axis::TP, tp),
        (Axis::EP, ep),
    ];
    let axes = axes.into_iter().filter(|(_, size)| *size == 0);
    world.into_iter().chain(axes.map(|(axis, _)| Problem::ZeroSize { axis })).collect()
}

/// What keeps the ranks of one stage from being laid out for this many expert-parallel ranks.
pub(crate) fn experts(num_ranks: usize, ep: usize) -> Option<Problem> {
    if ep == 0 {
        Some(Problem::ZeroSize { axis: Axis::EP })
    } else if !num_ranks.is_multiple_of(ep) {
        Some(Problem::Experts { ep, num_ranks })
    } else {
        None
    }
}

/// The product, or `None` where it does not fit.
fn checked_product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1_usize, |product, size| product.checked_mul(*size))
}
