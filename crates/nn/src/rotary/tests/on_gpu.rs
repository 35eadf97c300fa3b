//! The kernel for GPUs makes what that of the CPU makes.

use candle_core::{CpuStorage, Device, Tensor, Var};

use super::super::on_gpu::rotate;
use crate::gpu::{DTYPES, assert_same, numbers_of, read, tensor};
use crate::{RotaryEmbedding, Rotation, vjp};

#[test]
fn heads_on_a_gpu_turn_as_on_the_cpu() {
    let embedding = RotaryEmbedding::with_theta(6, 100.).unwrap().with_factor(1.25);
    for dtype in DTYPES {
        let shared = Tensor::arange(0u32, 5, &Device::Cpu).unwrap();
        let shared = embedding.rotation(&shared, dtype).unwrap();
        let own = Rotation::of_rows(&[shared.clone(), shared.clone()], 2).unwrap();
        let x = Var::from_tensor(&numbers_of(&[2, 5, 3, 8], 5, dtype)).unwrap();
        let views = [
            x.transpose(1, 2).unwrap(),                       // as heads arrive
            x.transpose(1, 2).unwrap().contiguous().unwrap(), // as their gradients do
        ];
        for (rotation, view) in
            [&shared, &own].into_iter().flat_map(|r| views.iter().map(move |view| (r, view)))
        {
            let made = read::<CpuStorage, _, 1>([view], |[x]| rotate(x, rotation, false)).unwrap();
            let expected = rotation.apply(view).unwrap();
            assert_same(&tensor(made, view.shape()), &expected, &format!("turned in {dtype:?}"));

            let grad = numbers_of(expected.dims(), 9, dtype);
            let expected = vjp(&[expected], std::slice::from_ref(&grad)).unwrap();
            let made = read::<CpuStorage, _, 1>([&grad], |[grad]| rotate(grad, rotation, true));
            let made = tensor(made.unwrap(), grad.shape()).transpose(1, 2).unwrap();
            assert_same(&made, expected.get(&x).unwrap(), &format!("turned back in {dtype:?}"));
        }
    }
}
