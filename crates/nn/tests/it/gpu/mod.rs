//! What every operation computes on a GPU is what it computes on the CPU.

mod device;
mod numbers;

use candle_core::{DType, Device};

use crate::operations::{Operation, Place, assert_same, for_each_operation};
use device::gpu;

#[track_caller]
fn check(operation: Operation) {
    let Some(device) = gpu() else { return };
    // Angles are float32 whatever the type, and each device has its own sine.
    for (dtype, tolerance) in [(DType::F32, 1e-4), (DType::F64, 1e-6), (DType::BF16, 2e-2)] {
        let at = Place { device: device.clone(), dtype };
        assert_same(operation, &at, &Place { device: Device::Cpu, dtype }, tolerance);
    }
}

for_each_operation!(check);
