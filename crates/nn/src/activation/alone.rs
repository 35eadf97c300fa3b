//! An activation of one input.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};

use super::Activation;
use super::on_gpu;
use crate::cpu::{Number, Values, contiguous, for_number, vectorised};
use crate::every_device::has_kernels;

/// `f(x)`. Nothing but the input is kept for the backward.
pub(crate) fn alone(x: &Tensor, activation: impl Activation) -> Result<Tensor> {
    if has_kernels(x) {
        return x.contiguous()?.apply_op1(Alone(activation));
    }
    activation.composed(x)
}

struct Alone<A>(A);

fn forward<N: Number>(x: &[N], activation: impl Activation) -> CpuStorage {
    let mut y = vec![N::zero(); x.len()];
    vectorised(
        #[inline(always)]
        || {
            for (y, x) in y.iter_mut().zip(x) {
                let x = x.wide();
                *y = N::narrow(x * activation.share(x));
            }
        },
    );
    N::to_cpu_storage_owned(y)
}

fn backward<N: Number>(x: &Tensor, grad: &Tensor, activation: impl Activation) -> Result<Tensor> {
    let (xs, grads) = (Values::of(x), Values::of(grad));
    let (xs, grads) = (xs.slice::<N>()?, grads.slice::<N>()?);
    let mut input_grad = vec![N::zero(); xs.len()];
    vectorised(
        #[inline(always)]
        || {
            for ((out, x), grad) in input_grad.iter_mut().zip(xs).zip(grads) {
                *out = N::narrow(activation.backward(x.wide(), grad.wide()).1);
            }
        },
    );
    Tensor::from_vec(input_grad, x.shape(), &Device::Cpu)
}

impl<A: Activation> CustomOp1 for Alone<A> {
    fn name(&self) -> &'static str {
        A::NAMES[0]
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = for_number!(x.dtype(), self.name(), N => {
            Ok(forward::<N>(contiguous(x, layout)?, self.0))
        })?;
        Ok((y, layout.shape().clone()))
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok((on_gpu::forward::<A, _>((x, layout))?, layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.detach().contiguous()?;
        if crate::gpu::has_kernels(x) {
            return on_gpu::backward::<A, CudaStorage>(x, &grad).map(Some);
        }
        for_number!(x.dtype(), self.name(), N => backward::<N>(x, &grad, self.0)).map(Some)
    }
}
