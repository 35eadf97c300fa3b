//! Whether NCCL takes the ranks of a process on its GPUs.

use autopipe::{nccl, num_gpus};

use super::TrainOptions;
use crate::device::cuda;
use crate::{Error, GpuProblem};

/// The first NCCL that takes two ranks on one GPU, if it is told to: 2.30.
const SHARES_GPUS: u32 = 23000;

/// Whether there are GPUs enough for ranks that are threads: each takes the one of its number, counted
/// round.
///
/// # Errors
/// If there are too few, or CUDA does not start.
pub(super) fn nccl_takes(num_ranks: usize, options: &TrainOptions) -> Result<(), Error> {
    let num_gpus = num_gpus().map_err(cuda)?;
    if num_ranks <= num_gpus {
        return Ok(());
    }
    let version = nccl::version().map_err(autopipe::Error::from)?;
    fits(num_ranks, num_gpus, ranks_per_gpu(version, options.nccl_shares_gpus))
}

fn ranks_per_gpu(version: u32, is_told: bool) -> usize {
    if is_told && version >= SHARES_GPUS { 2 } else { 1 }
}

fn fits(num_ranks: usize, num_gpus: usize, ranks_per_gpu: usize) -> Result<(), Error> {
    if num_ranks <= num_gpus.saturating_mul(ranks_per_gpu) {
        return Ok(());
    }
    Err(GpuProblem::TooFewGpus { num_ranks, num_gpus, ranks_per_gpu }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_needs_its_part_of_a_gpu() {
        for (num_ranks, num_gpus, ranks_per_gpu) in [(1, 1, 1), (4, 4, 1), (4, 2, 2), (3, 2, 2)] {
            fits(num_ranks, num_gpus, ranks_per_gpu).unwrap();
        }
        let words = |per| fits(5, 2, per).unwrap_err().to_string();
        assert_eq!(
            words(1),
            "NCCL takes one rank on each GPU of the 2 that CUDA sees, and the recipe has 5 ranks; set \
             `distributed.pp_size`, `dp_size` and `tp_size` for fewer ranks, leave out --nccl, or set \
             NCCL_MULTI_RANK_GPU_ENABLE=1, with which NCCL takes two on each from 2.30 on"
        );
        assert!(words(2).starts_with("NCCL takes two ranks on each GPU of the 2 that CUDA sees"));
        assert!(words(2).ends_with("leave out --nccl, or make more GPUs visible to this process"));
    }

    #[test]
    fn only_a_new_nccl_that_is_told_to_takes_two() {
        let all = [(22809, true, 1), (23000, false, 1), (23000, true, 2), (23104, true, 2)];
        for (version, is_told, expected) in all {
            assert_eq!(ranks_per_gpu(version, is_told), expected, "{version}");
        }
    }
}
