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
        match num_gpus().map_err(|source| Error::Gpu { source })? {
            0 if self == Self::Cuda => Err(Error::NoGpu { has_cuda: cfg!(feature = "cuda") }),
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
        Ok(gpu.map_err(|source| Error::Gpu { source })?.unwrap_or(Device::Cpu))
    }
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
