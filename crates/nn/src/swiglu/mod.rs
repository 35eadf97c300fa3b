//! The gated activation of Llama's feed-forward: silu(gate) · up.

#[cfg(test)]
mod tests;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor};

use crate::Error;
use crate::cpu::{Number, Real, Values, contiguous, for_number, has_kernels, vectorised};

/// `silu(gate) · up = gate σ(gate) up`, for two tensors of one shape.
///
/// With `s = σ(gate)` and `G` the output's gradient, the backward is
/// `dgate = G up s (1 + gate (1 - s))` and `dup = G gate s`. Nothing but the inputs is kept for it.
///
/// Paper: [Shazeer, 2020](https://arxiv.org/abs/2002.05202).
///
/// # Errors
/// If the shapes, dtypes or devices differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if gate.shape() != up.shape() {
        return Err(Error::InputShape {
            layer: "gated activation",
            expected: format!("two inputs of shape {:?}", gate.dims()),
            actual: up.shape().clone(),
        }
        .into());
    }
    if has_kernels(gate) && has_kernels(up) {
        return gate.contiguous()?.apply_op2(&up.contiguous()?, SwiGlu);
    }
    gate.silu()? * up
}

struct SwiGlu;

#[inline(always)]
fn sigmoid<T: Real>(x: T) -> T {
    T::one() / (T::one() + (T::zero() - x).exp())
}

fn forward<N: Number>(gate: &[N], up: &[N]) -> CpuStorage {
    let mut y = vec![N::zero(); gate.len()];
    vectorised(
        #[inline(always)]
        || {
            for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
                let gate = gate.wide();
                *y = N::narrow(gate * sigmoid(gate) * up.wide());
            }
        },
    );
    N::to_cpu_storage_owned(y)
}

fn backward<N: Number>(gate: &Tensor, up: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
    let (gates, ups, grads) = (Values::of(gate), Values::of(up), Values::of(grad));
    let (gates, ups, grads) = (gates.slice::<N>()?, ups.slice::<N>()?, grads.slice::<N>()?);
    let mut gate_grad = vec![N::zero(); gates.len()];
    let mut up_grad = vec![N::zero(); gates.len()];
    let one = N::one().wide();
    vectorised(
        #[inline(always)]
        || {
            let out = gate_grad.iter_mut().zip(&mut up_grad);
            for ((((gate_grad, up_grad), gate), up), grad) in out.zip(gates).zip(ups).zip(grads) {
                let (gate, up, grad) = (gate.wide(), up.wide(), grad.wide());
                let s = sigmoid(gate);
                *gate_grad = N::narrow(grad * up * s * (one + gate * (one - s)));
                *up_grad = N::narrow(grad * gate * s);
            }
        },
    );
    Ok((
        Tensor::from_vec(gate_grad, gate.shape(), &Device::Cpu)?,
        Tensor::from_vec(up_grad, gate.shape(), &Device::Cpu)?,
    ))
}

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gl: &Layout,
        up: &CpuStorage,
        ul: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let y = for_number!(gate.dtype(), self.name(), N => {
            Ok(forward::<N>(contiguous(gate, gl)?, contiguous(up, ul)?))
        })?;
        Ok((y, gl.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.detach().contiguous()?;
        let (gate_grad, up_grad) =
            for_number!(gate.dtype(), self.name(), N => backward::<N>(gate, up, &grad))?;
        Ok((gate.track_op().then_some(gate_grad), up.track_op().then_some(up_grad)))
    }
}
