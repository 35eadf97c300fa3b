//! The kernels for GPUs make what those of the CPU make.

use candle_core::{CpuStorage, DType, Var};

use super::super::RmsNorm;
use super::super::factor::{OnePlusWeight, Weight};
use super::super::on_gpu::{GpuRule, forward, forward_sum};
use crate::every_device::wide_dtype;
use crate::gpu::{DTYPES, assert_same, numbers_of, read, tensor};
use crate::{Parameters, vjp};

const EPS: f64 = 1e-5;

fn layer(width: usize, dtype: DType, has_offset: bool) -> (Parameters, RmsNorm) {
    let mut set = Parameters::new();
    let weight = set.add("norm", numbers_of(&[width], 3, dtype), true).unwrap();
    let of = if has_offset { RmsNorm::with_unit_offset } else { RmsNorm::new };
    (set, of(weight, EPS).unwrap())
}

/// Rows of less and more numbers than a block has threads, and more rows than are added up at once.
const SHAPES: [[usize; 2]; 4] = [[3, 5], [2, 75], [40, 33], [1, 1300]];

#[test]
fn rows_on_a_gpu_are_those_of_the_cpu() {
    for dtype in DTYPES {
        for (shape, has_offset) in SHAPES.into_iter().flat_map(|s| [(s, false), (s, true)]) {
            let what = |name| format!("{name} of {shape:?} in {dtype:?}, offset {has_offset}");
            let rule = GpuRule { eps: EPS, has_offset };
            let (_, norm) = layer(shape[1], dtype, has_offset);
            let (x, r) = (numbers_of(&shape, 5, dtype), numbers_of(&shape, 7, dtype));
            let w = norm.weight().value();
            let y = read::<CpuStorage, _, 2>([&x, w], |[x, w]| forward(x, w, rule)).unwrap();
            assert_same(&tensor(y, x.shape()), &norm.forward(&x).unwrap(), &what("result"));
            let [sum, y] =
                read::<CpuStorage, _, 3>([&x, &r, w], |all| forward_sum(all, rule)).unwrap();
            let expected = norm.forward_residual(&x, &r).unwrap();
            assert_same(&tensor(sum, x.shape()), &expected.0, &what("sum"));
            assert_same(&tensor(y, x.shape()), &expected.1, &what("result for a sum"));
        }
    }
}

#[test]
fn gradients_on_a_gpu_are_those_of_the_cpu() {
    for dtype in DTYPES {
        for (shape, has_offset) in SHAPES.into_iter().flat_map(|s| [(s, false), (s, true)]) {
            let what = |name| format!("{name} for {shape:?} in {dtype:?}, offset {has_offset}");
            let (set, norm) = layer(shape[1], dtype, has_offset);
            let x = Var::from_tensor(&numbers_of(&shape, 5, dtype)).unwrap();
            let grad = numbers_of(&shape, 9, dtype);
            let grads = vjp(&[norm.forward(&x).unwrap()], std::slice::from_ref(&grad)).unwrap();
            let weight_grad = norm.weight().grad().unwrap();
            set.zero_grad();

            let on_gpu = |twice: bool| {
                let w = norm.weight().value();
                let grad = grad.clone();
                let input_grad = if has_offset {
                    norm.fused(OnePlusWeight).backward_on_gpu::<CpuStorage>(&x, w, grad)
                } else {
                    norm.fused(Weight).backward_on_gpu::<CpuStorage>(&x, w, grad)
                };
                assert_same(&input_grad.unwrap().unwrap(), grads.get(&x).unwrap(), &what("input"));
                let factor = if twice { 2. } else { 1. };
                let expected = (&weight_grad * factor).unwrap();
                assert_eq!(expected.dtype(), wide_dtype(dtype));
                assert_same(&norm.weight().grad().unwrap(), &expected, &what("weight"));
            };
            on_gpu(false);
            on_gpu(true); // into the same buffer
        }
    }
}
