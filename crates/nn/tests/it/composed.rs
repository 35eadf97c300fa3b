//! What devices and dtypes without a kernel compute is what the kernels do: the same operations as on a
//! GPU, in a dtype for which the CPU has none.

use candle_core::{DType, Device};

use crate::operations::{Operation, Place, assert_same, for_each_operation};

#[track_caller]
fn check(operation: Operation) {
    let at = |dtype| Place { device: Device::Cpu, dtype };
    assert_same(operation, &at(DType::F16), &at(DType::F32), 1e-2);
}

for_each_operation!(check);
