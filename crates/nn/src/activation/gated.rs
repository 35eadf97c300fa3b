//! An activation of a gate times a second input.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp2, Device, Layout, Result, Shape, Tensor};

use super::Activation;
use super::on_gpu;
use crate::Error;
use crate::cpu::{Number, Values, contiguous, for_number, vectorised};
use crate::every_device::has_kernels;

/// `f(gate) · up`. Nothing but the inputs is kept for the backward.
pub(crate) fn gated(gate: &Tensor, up: &Tensor, activation: impl Activation) -> Result<Tensor> {
    if gate.shape() != up.shape() {
        return Err(Error::InputShape {
            layer: "gated activation",
            expected: format!("two inputs of shape {:?}", gate.dims()),
            actual: up.shape().clone(),
        }
        .into());
    }
    if has_kernels(gate) && has_kernels(up) {
        return gate.contiguous()?.apply_op2(&up.contiguous()?, Gated(activation));
    }
    activation.composed(gate)? * up
}

struct Gated<A>(A);

fn forward<N: Number>(gate: &[N], up: &[N], activation: impl Activation) -> CpuStorage {
    let mut y = vec![N::zero(); gate.len()];
    vectorised(
        #[inline(always)]
        || {
            for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
                let gate = gate.wide();
                *y = N::narrow(gate * activation.share(gate) * up.wide());
            }
        },
    );
    N::to_cpu_storage_owned(y)
}

fn backward<N: Number>(
    gate: &Tensor,
    up: &Tensor,
    grad: &Tensor,
    activation: impl Activation,
) -> Result<(Tensor, Tensor)> {
    let (gates, ups, grads) = (Values::of(gate), Values::of(up), Values::of(grad));
    let (gates, ups, grads) = (gates.slice::<N>()?, ups.slice::<N>()?, grads.slice::<N>()?);
    let mut gate_grad = vec![N::zero(); gates.len()];
    let mut up_grad = vec![N::zero(); gates.len()];
    vectorised(
        #[inline(always)]
        || {
            let out = gate_grad.iter_mut().zip(&mut up_grad);
            for ((((gate_grad, up_grad), gate), up), grad) in out.zip(gates).zip(ups).zip(grads) {
                let (gate, up, grad) = (gate.wide(), up.wide(), grad.wide());
                let (share, gate_part) = activation.backward(gate, grad * up);
                *gate_grad = N::narrow(gate_part);
                *up_grad = N::narrow(grad * gate * share);
            }
        },
    );
    Ok((
        Tensor::from_vec(gate_grad, gate.shape(), &Device::Cpu)?,
        Tensor::from_vec(up_grad, gate.shape(), &Device::Cpu)?,
    ))
}

impl<A: Activation> CustomOp2 for Gated<A> {
    fn name(&self) -> &'static str {
        A::NAMES[1]
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gl: &Layout,
        up: &CpuStorage,
        ul: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let y = for_number!(gate.dtype(), self.name(), N => {
            Ok(forward::<N>(contiguous(gate, gl)?, contiguous(up, ul)?, self.0))
        })?;
        Ok((y, gl.shape().clone()))
    }

    fn cuda_fwd(
        &self,
        gate: &CudaStorage,
        gl: &Layout,
        up: &CudaStorage,
        ul: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        Ok((on_gpu::forward_gated::<A, _>((gate, gl), (up, ul))?, gl.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.detach().contiguous()?;
        let wanted = |gate_grad, up_grad| {
            (gate.track_op().then_some(gate_grad), up.track_op().then_some(up_grad))
        };
        if crate::gpu::has_kernels(gate) {
            let [gate_grad, up_grad] = on_gpu::backward_gated::<A, CudaStorage>([gate, up, &grad])?;
            return Ok(wanted(gate_grad, up_grad));
        }
        let (gate_grad, up_grad) =
            for_number!(gate.dtype(), self.name(), N => backward::<N>(gate, up, &grad, self.0))?;
        Ok(wanted(gate_grad, up_grad))
    }
}
