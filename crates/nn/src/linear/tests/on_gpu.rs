//! The weight's gradient as a GPU adds it up is that of the CPU.

use candle_core::{CpuStorage, DType, Tensor};

use super::super::Linear;
use super::super::product::weight_grad_on_gpu;
use crate::gpu::{DTYPES, assert_same, numbers_of};
use crate::{Parameters, vjp};

fn layer(num_out: usize, num_in: usize, dtype: DType) -> (Parameters, Linear) {
    let mut set = Parameters::new();
    let weight = set.add("weight", numbers_of(&[num_out, num_in], 3, dtype), true).unwrap();
    (set, Linear::new(weight, None).unwrap())
}

#[test]
fn a_weights_gradient_on_a_gpu_is_that_of_the_cpu() {
    for dtype in DTYPES {
        for (rows, num_in, num_out) in [(6, 4, 5), (1, 3, 1), (7, 1, 4), (33, 9, 2)] {
            let (set, linear) = layer(num_out, num_in, dtype);
            let weight = linear.weight();
            let x = numbers_of(&[rows, num_in], 5, dtype);
            let grads = [7, 11].map(|seed| numbers_of(&[rows, num_out], seed, dtype));
            let by_cpu = grads.each_ref().map(|grad| {
                vjp(&[linear.forward(&x).unwrap()], std::slice::from_ref(grad)).unwrap();
                weight.grad().unwrap()
            });
            set.zero_grad();
            // The second one goes into the buffer that the first has made.
            for (grad, expected) in grads.iter().zip(&by_cpu) {
                weight_grad_on_gpu::<CpuStorage>(weight, grad, &x).unwrap();
                let what = format!("{rows} rows, {num_out} by {num_in} in {dtype:?}");
                assert_same(&weight.grad().unwrap(), expected, &what);
            }
        }
    }
}

/// A sum of half precision has the numbers that half precision would round away.
#[test]
fn nothing_of_half_precision_is_rounded_on_the_way() {
    let (_, linear) = layer(1, 1, DType::BF16);
    let ones = Tensor::ones((300, 1), DType::BF16, &candle_core::Device::Cpu).unwrap();
    for expected in [300., 600.] {
        weight_grad_on_gpu::<CpuStorage>(linear.weight(), &ones, &ones).unwrap();
        let sum = linear.weight().grad().unwrap();
        assert_eq!(sum.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [expected]);
    }
}

#[test]
fn no_rows_add_nothing() {
    let (_, linear) = layer(2, 3, DType::BF16);
    let (x, grad) = (numbers_of(&[0, 3], 5, DType::BF16), numbers_of(&[0, 2], 5, DType::BF16));
    for _ in 0..2 {
        weight_grad_on_gpu::<CpuStorage>(linear.weight(), &grad, &x).unwrap();
        let sum = linear.weight().grad().unwrap();
        assert_eq!(sum.to_vec2::<f32>().unwrap(), [[0.; 3]; 2]);
    }
}
