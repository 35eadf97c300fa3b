//! The kernel for GPUs zeroes what the CPU zeroes.

use candle_core::CpuStorage;

use super::super::mask::Mask;
use super::super::on_gpu::multiply;
use super::super::{Dropout, Noise};
use crate::gpu::{DTYPES, assert_same, numbers_of, read, tensor};

#[test]
fn numbers_on_a_gpu_are_dropped_as_on_the_cpu() {
    let noise = Noise { seed: 7, first_row: 3 };
    for dtype in DTYPES {
        let dropout = |p| Dropout::new(p, "down_proj").unwrap();
        let some = dropout(0.4).of_columns(21..40, 90).unwrap();
        for (dropout, shape) in [(dropout(0.3), [4, 5, 33]), (some, [4, 5, 19])] {
            let x = numbers_of(&shape, 5, dtype);
            let mask = Mask::new(dropout.p, &noise, &dropout.name, dropout.columns);
            let made = read::<CpuStorage, _, 1>([&x], |[x]| multiply(&mask, x)).unwrap();
            let expected = dropout.forward(&x, &noise).unwrap();
            assert_same(&tensor(made, x.shape()), &expected, &format!("{shape:?} in {dtype:?}"));
        }
    }
}
