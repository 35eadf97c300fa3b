//! The kernels for GPUs make what those of the CPU make.

use candle_core::{CpuStorage, DType, Var};

use crate::activation::{Activation, alone, gated, on_gpu};
use crate::gpu::{DTYPES, assert_same, numbers_of, read, tensor};
use crate::{gelu, swiglu, vjp};

const SHAPE: [usize; 2] = [3, 201];

/// Besides the others some that are far from zero, where exponentials leave the range.
fn inputs(dtype: DType) -> Var {
    let far = numbers_of(&SHAPE, 5, dtype);
    Var::from_tensor(&(far.sqr().unwrap() * &far).unwrap()).unwrap()
}

fn check<A: Activation>(activation: A) {
    for dtype in DTYPES {
        let what = |name| format!("{name} of {} in {dtype:?}", A::NAMES[0]);
        let (x, grad) = (inputs(dtype), numbers_of(&SHAPE, 9, dtype));
        let expected = alone(&x, activation).unwrap();
        let made = read::<CpuStorage, _, 1>([&x], |[x]| on_gpu::forward::<A, _>(x)).unwrap();
        assert_same(&tensor(made, x.shape()), &expected, &what("result"));
        let grads = vjp(&[expected], std::slice::from_ref(&grad)).unwrap();
        let made = on_gpu::backward::<A, CpuStorage>(&x, &grad).unwrap();
        assert_same(&made, grads.get(&x).unwrap(), &what("gradient"));

        let up = Var::from_tensor(&numbers_of(&SHAPE, 7, dtype)).unwrap();
        let expected = gated(&x, &up, activation).unwrap();
        let made =
            read::<CpuStorage, _, 2>([&x, &up], |[x, up]| on_gpu::forward_gated::<A, _>(x, up));
        assert_same(&tensor(made.unwrap(), x.shape()), &expected, &what("gated result"));
        let grads = vjp(&[expected], std::slice::from_ref(&grad)).unwrap();
        let [gate_grad, up_grad] =
            on_gpu::backward_gated::<A, CpuStorage>([&x, &up, &grad]).unwrap();
        assert_same(&gate_grad, grads.get(&x).unwrap(), &what("gate's gradient"));
        assert_same(&up_grad, grads.get(&up).unwrap(), &what("gradient of the other"));
    }
}

#[test]
fn silu_on_a_gpu_is_that_of_the_cpu() {
    check(swiglu::Silu);
}

#[test]
fn gelu_on_a_gpu_is_that_of_the_cpu() {
    check(gelu::Exact);
    check(gelu::Tanh);
}
