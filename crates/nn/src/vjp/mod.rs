//! Backward from outputs whose gradients are known: the vector-Jacobian product.

#[cfg(test)]
mod tests;

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::backprop::GradStore;
use candle_core::{CustomOp1, DType, Device, Layout, Result, Shape, Tensor};

use crate::Error;
use crate::every_device::on_every_device;

/// Propagates `grads`, one for each of `outputs`, back through candle's graph.
///
/// The store has the gradient of every variable that the outputs depend on; the weights of this
/// crate's layers are not among them (see [`Parameters`](crate::Parameters)). An output that
/// depends on no variable is passed over, and so is one of integers.
///
/// The result equals that of `(y * g).sum_all()?.backward()?` summed over all pairs, without the
/// product and the sum: each output gets a zero of no dimension whose backward is `g`.
///
/// # Errors
/// If an output and its gradient differ in shape or dtype, or a backward fails.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor, Var};
///
/// let x = Var::from_slice(&[1f32, 2., 3.], 3, &Device::Cpu)?;
/// let y = x.sqr()?;
/// let g = Tensor::new(&[1f32, 10., 100.], &Device::Cpu)?;
/// let grads = autopipe_nn::vjp(&[y], &[g])?;
/// assert_eq!(grads.get(&x).unwrap().to_vec1::<f32>()?, [2., 40., 600.]);
/// # candle_core::Result::Ok(())
/// ```
pub fn vjp(outputs: &[Tensor], grads: &[Tensor]) -> Result<GradStore> {
    if outputs.len() != grads.len() {
        return Err(
            Error::GradientCount { num_outputs: outputs.len(), num_grads: grads.len() }.into()
        );
    }
    let mut root: Option<Tensor> = None;
    for (i, (output, grad)) in outputs.iter().zip(grads).enumerate() {
        if !output.track_op() || output.dtype().is_int() {
            continue;
        }
        if output.shape() != grad.shape() || output.dtype() != grad.dtype() {
            return Err(Error::GradientMismatch {
                of: format!("output {i}"),
                expected: output.shape().clone(),
                expected_dtype: output.dtype(),
                actual: grad.shape().clone(),
                actual_dtype: grad.dtype(),
            }
            .into());
        }
        let seed = output.apply_op1(Seed { grad: grad.detach() })?;
        root = Some(match root {
            Some(sum) => (sum + seed)?,
            None => seed,
        });
    }
    match root {
        Some(root) => root.backward(),
        None => no_grads(),
    }
}

/// A store without entries, which candle lets nobody build directly.
fn no_grads() -> Result<GradStore> {
    let root = Tensor::zeros((), DType::F32, &Device::Cpu)?;
    let mut grads = root.backward()?;
    grads.remove(&root);
    Ok(grads)
}

/// A zero whose backward is a given gradient.
struct Seed {
    grad: Tensor,
}

/// A zero of no dimension, whatever the input is.
pub(crate) fn zero<S: BackendStorage>(storage: &S, _: &Layout) -> Result<(S, Shape)>
where
    S::Device: BackendDevice<Storage = S>,
{
    let shape = Shape::from(());
    Ok((storage.device().zeros_impl(&shape, DType::F32)?, shape))
}

impl CustomOp1 for Seed {
    fn name(&self) -> &'static str {
        "vjp"
    }

    on_every_device!(zero, a);

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.grad.clone()))
    }
}
