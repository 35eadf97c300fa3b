//! What the ranks of a run compute on.

use std::fmt;
use std::str::FromStr;

use autopipe::{gpu_of_rank, num_gpus};
use candle_core::Device;

use crate::Error;

/// What the ranks of a run compute on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceChoice {
    /// GPUs, if this build (feature `cuda`) and the machine have any, and the CPU otherwise.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// GPUs: a run without any is refused.
    Cuda,
}

/// Why ranks have not the GPUs that they are to compute on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GpuProblem {
    /// GPUs are asked for, and there are none.
    #[error("{}, or let it compute on the CPU (--device cpu)", if *has_cuda {
        "CUDA sees no GPU; make one visible to this process"
    } else {
        "this build knows no GPU; build with the feature `cuda`"
    })]
    NoGpu {
        /// Whether this build could use one.
        has_cuda: bool,
    },
    /// CUDA does not start, or has failed.
    #[error("a GPU cannot be used: {source}; a run on the CPU (--device cpu) needs none")]
    Cuda {
        /// What candle says.
        source: candle_core::Error,
    },
    /// NCCL refuses so many ranks on so few GPUs.
    #[error(
        "NCCL takes {} of the {num_gpus} that CUDA sees, and the recipe has {num_ranks} ranks; set \
         `distributed.pp_size`, `dp_size` and `tp_size` for fewer ranks, leave out --nccl, or {}",
        if *ranks_per_gpu == 1 { "one rank on each GPU" } else { "two ranks on each GPU" },
        if *ranks_per_gpu == 1 {
            "set NCCL_MULTI_RANK_GPU_ENABLE=1, with which NCCL takes two on each from 2.30 on"
        } else {
            "make more GPUs visible to this process"
        }
    )]
    TooFewGpus {
        /// Of the recipe, all of which are threads of this process.
        num_ranks: usize,
        /// That this process sees.
        num_gpus: usize,
        /// How many ranks NCCL takes on each.
        ranks_per_gpu: usize,
    },
}

/// What is no choice of a device.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no device; give auto, cpu or cuda")]
pub struct NoDevice {
    /// What was given.
    pub text: String,
}

/// Every choice.
const ALL: [DeviceChoice; 3] = [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda];

impl DeviceChoice {
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    /// Whether ranks of this machine compute on GPUs.
    ///
    /// # Errors
    /// If GPUs are asked for and none can be used, or CUDA does not start.
    pub fn has_gpus(self) -> Result<bool, Error> {
        if self == Self::Cpu {
            return Ok(false);
        }
        match num_gpus().map_err(cuda)? {
            0 if self == Self::Cuda => Err(no_gpu()),
            num => Ok(num > 0),
        }
    }

    /// The device of the rank of this number, counted on its machine: of several GPUs the one of the
    /// number, counted round. Each call makes a stream of its own.
    ///
    /// # Errors
    /// If GPUs are asked for and none can be used, or CUDA does not start.
    pub fn of_rank(self, rank: usize) -> Result<Device, Error> {
        let gpu = if self.has_gpus()? { gpu_of_rank(rank) } else { Ok(None) };
        Ok(gpu.map_err(cuda)?.unwrap_or(Device::Cpu))
    }
}

/// This build or this machine has none.
pub(crate) fn no_gpu() -> Error {
    GpuProblem::NoGpu { has_cuda: cfg!(feature = "cuda") }.into()
}

pub(crate) fn cuda(source: candle_core::Error) -> Error {
    GpuProblem::Cuda { source }.into()
}

impl FromStr for DeviceChoice {
    type Err = NoDevice;

    fn from_str(text: &str) -> Result<Self, NoDevice> {
        let found = ALL.into_iter().find(|choice| choice.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| NoDevice { text: text.to_owned() })
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_as_they_are_written() {
        for choice in ALL {
            assert_eq!(choice.to_string().parse::<DeviceChoice>().unwrap(), choice);
        }
        let error = "tpu".parse::<DeviceChoice>().unwrap_err().to_string();
        assert_eq!(error, "`tpu` is no device; give auto, cpu or cuda");
    }

    #[test]
    fn the_cpu_is_always_there() {
        assert!(DeviceChoice::Cpu.of_rank(3).unwrap().is_cpu());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_gpus_computes_on_the_cpu_and_refuses_others() {
        assert!(DeviceChoice::Auto.of_rank(0).unwrap().is_cpu());
        let error = DeviceChoice::Cuda.of_rank(0).unwrap_err().to_string();
        assert_eq!(
            error,
            "this build knows no GPU; build with the feature `cuda`, or let it compute on the CPU \
             (--device cpu)"
        );
    }
}
