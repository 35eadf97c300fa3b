//! The kernels for GPUs find what the CPU finds.

use candle_core::{CpuStorage, DType, Device, Tensor};

use super::super::{max_abs, on_gpu, sum_of_squares};
use crate::gpu::{DTYPES, numbers_of};
use crate::oracle::numbers;

#[test]
fn norms_on_a_gpu_are_those_of_the_cpu() {
    for dtype in DTYPES {
        for num in [1, 70, 700] {
            let grad = numbers_of(&[num], 5, dtype);
            let squares = on_gpu::squares::<CpuStorage>(&grad).unwrap();
            let (made, expected): (f64, _) =
                (numbers(&squares).iter().sum(), sum_of_squares(&grad).unwrap());
            assert!((made - expected).abs() <= 1e-5 * expected, "{made}, should be {expected}");
            let largest = on_gpu::largest::<CpuStorage>(&grad).unwrap();
            let largest = numbers(&largest).into_iter().fold(0., f64::max);
            assert_eq!(largest.to_bits(), max_abs(&grad).unwrap().to_bits());
        }
    }
}

#[test]
fn what_is_no_number_is_found() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut grad = vec![1f32; 600];
        grad[300] = bad;
        let grad = Tensor::new(grad, &Device::Cpu).unwrap().to_dtype(DType::BF16).unwrap();
        let made = [on_gpu::squares::<CpuStorage>(&grad), on_gpu::largest::<CpuStorage>(&grad)];
        for made in made {
            let found = numbers(&made.unwrap()).into_iter().find(|x| !x.is_finite());
            assert_eq!(found.map(f64::is_nan), Some(bad.is_nan()), "{bad}");
        }
    }
}
