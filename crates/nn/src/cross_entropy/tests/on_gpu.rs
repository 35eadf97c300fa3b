//! The kernels for GPUs make what those of the CPU make.

use candle_core::{CpuStorage, DType, Device, Tensor, Var};

use super::super::labels::of_part;
use super::super::{fused, on_gpu};
use super::{CLASSES, classes, labels};
use crate::cpu::for_number;
use crate::cross_entropy_sum;
use crate::every_device::wide_dtype;
use crate::gpu::{DTYPES, assert_same, numbers_of};

#[test]
fn losses_on_a_gpu_are_those_of_the_cpu() {
    for dtype in DTYPES {
        // A row that does not count has no number.
        let mut numbers = numbers_of(&[6, CLASSES], 5, DType::F32).to_vec2::<f32>().unwrap();
        numbers[1][0] = f32::NAN;
        let logits = Tensor::new(numbers, &Device::Cpu).unwrap();
        let logits = logits.to_dtype(dtype).unwrap().reshape((2, 3, CLASSES)).unwrap();
        let logits = Var::from_tensor(&logits).unwrap();
        let both = [
            cross_entropy_sum(&logits, &labels()).unwrap(),
            on_gpu::loss::<CpuStorage>(&logits, &classes()).unwrap(),
        ];
        assert_same(&both[1], &both[0], &format!("loss in {dtype:?}"));
        let grads = both.map(|loss| (loss * 0.3).unwrap().backward().unwrap());
        let [expected, made] = grads.each_ref().map(|grads| grads.get(&logits).unwrap());
        assert_same(made, expected, &format!("gradient in {dtype:?}"));
    }
}

/// What a rank computes of some of the classes.
#[test]
fn parts_of_losses_on_a_gpu_are_those_of_the_cpu() {
    for dtype in DTYPES {
        let rows = numbers_of(&[6, 300], 5, dtype);
        let expected = for_number!(dtype, "test", N => fused::row_maxima::<N>(&rows)).unwrap();
        let max = on_gpu::row_maxima::<CpuStorage>(&rows).unwrap();
        assert_same(&max, &expected, &format!("largest in {dtype:?}"));
        let max = max.unsqueeze(1).unwrap();
        let expected = for_number!(dtype, "test", N => fused::row_sums::<N>(&rows, &max)).unwrap();
        let sums = on_gpu::row_sums::<CpuStorage>(&rows, &max).unwrap();
        assert_same(&sums, &expected, &format!("sums in {dtype:?}"));

        let part = of_part(&labels(), CLASSES, 5, 300).unwrap();
        let log_sums = (sums.log().unwrap() + &max).unwrap();
        let wide = log_sums.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
        let wide = wide.to_vec1::<f64>().unwrap();
        let expected =
            for_number!(dtype, "test", N => fused::input_grad::<N>(&rows, &part, &wide, 0.3));
        let grad = Tensor::new(0.3, &Device::Cpu).unwrap().to_dtype(wide_dtype(dtype)).unwrap();
        let places = on_gpu::places(&part, &Device::Cpu).unwrap();
        let made = on_gpu::backward::<CpuStorage>(&rows, [&places, &log_sums, &grad]).unwrap();
        assert_same(&made, &expected.unwrap(), &format!("gradient of a part in {dtype:?}"));
    }
}
