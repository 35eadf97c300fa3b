//! The kernel for GPUs makes what that of the CPU makes.

use candle_core::{CpuStorage, Device, Tensor};

use super::super::on_gpu::add_rows;
use crate::gpu::{DTYPES, assert_same, numbers_of};
use crate::{Embedding, Parameters, vjp};

#[test]
fn gradients_on_a_gpu_are_those_of_the_cpu() {
    for dtype in DTYPES {
        // Few numbers a row and more than a block has threads; the last padding is all there is.
        for (width, padding) in [(3, None), (3, Some(4)), (700, Some(0)), (3, Some(1))] {
            let what = format!("rows of {width} without {padding:?} in {dtype:?}");
            let mut set = Parameters::new();
            let weight = set.add("w", numbers_of(&[6, width], 3, dtype), true).unwrap();
            let embedding = Embedding::new(weight).unwrap();
            let embedding = match padding {
                Some(id) => embedding.with_padding(id).unwrap(),
                None => embedding,
            };
            let rows = if padding == Some(1) { [1; 9] } else { [4, 0, 4, 1, 2, 4, 0, 0, 5] };
            let ids =
                Tensor::new(&rows.map(|row| u32::try_from(row).unwrap()), &Device::Cpu).unwrap();
            let grad = numbers_of(&[rows.len(), width], 5, dtype);
            for _ in 0..2 {
                vjp(&[embedding.forward(&ids).unwrap()], std::slice::from_ref(&grad)).unwrap();
            }
            let expected = embedding.weight().grad().unwrap();
            set.zero_grad();
            let rows = rows.map(|row| Some(row).filter(|&row| padding != Some(row)));
            for _ in 0..2 {
                add_rows::<CpuStorage>(embedding.weight(), &grad, &rows).unwrap();
            }
            assert_same(&embedding.weight().grad().unwrap(), &expected, &what);
        }
    }
}
