//! Numbers of parameters on a GPU, given up and brought back.

use autopipe_nn::Parameters;
use candle_core::{DType, Tensor};

use super::device::gpu;

#[test]
fn parameters_are_given_up_and_brought_back() {
    let Some(device) = gpu() else { return };
    for dtype in [DType::F32, DType::BF16, DType::F16, DType::F64] {
        let row = |first: f32, len: usize| {
            let numbers: Vec<f32> = (0..len).map(|i| first + i as f32).collect();
            Tensor::new(numbers, &device).unwrap().to_dtype(dtype).unwrap()
        };
        let mut parameters = Parameters::new();
        let values = row(0., 6).reshape((2, 3)).unwrap();
        let weight = parameters.add("weight", values, true).unwrap();
        let held = weight.value().clone();
        weight.release().unwrap();
        assert!(weight.is_released() && (&held + &held).is_err(), "{dtype:?}");

        let twice = row(10., 12);
        let slices = |cuts: &[(usize, usize)]| {
            let cut = |&(start, len): &(usize, usize)| twice.narrow(0, start, len).unwrap();
            cuts.iter().map(cut).collect::<Vec<_>>()
        };
        for cuts in [&[(2, 6)][..], &[(2, 4), (0, 0), (6, 2)], &[(2, 1), (3, 5)]] {
            weight.restore(&slices(cuts)).unwrap();
            assert!(!weight.is_released());
            let wide = held.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
            assert_eq!(wide, [[12., 13., 14.], [15., 16., 17.]], "{dtype:?}, {cuts:?}");
            weight.release().unwrap();
        }
    }
}
