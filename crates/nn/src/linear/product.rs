//! The matrix product x Wᵀ on every device, for dtypes without a kernel too.

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{CudaStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::Parameter;
use crate::every_device::on_every_device;

/// `x Wᵀ` for a contiguous `x` of shape `[.., in]` and `W` of shape `[out, in]`, any stride.
pub(super) struct Product {
    pub(super) weight: Parameter,
}

/// One body for all devices: the backends differ in their matrix product only.
fn forward<S: BackendStorage>(
    x: &S,
    x_layout: &Layout,
    w: &S,
    w_layout: &Layout,
) -> Result<(S, Shape)>
where
    S::Device: BackendDevice<Storage = S>,
{
    let (num_out, num_in) = w_layout.shape().dims2()?;
    let leading = &x_layout.dims()[..x_layout.dims().len() - 1];
    let num_rows = leading.iter().product();
    let shape = Shape::from(leading).extend(&[num_out]);
    if shape.elem_count() == 0 || num_in == 0 {
        return Ok((x.device().zeros_impl(&shape, x.dtype())?, shape));
    }
    let x_layout = Layout::contiguous_with_offset((num_rows, num_in), x_layout.start_offset());
    let y = x.matmul(w, (1, num_rows, num_out, num_in), &x_layout, &w_layout.transpose(0, 1)?)?;
    Ok((y, shape))
}

/// Adds `Gᵀ x` to the weight's gradient.
fn weight_grad(weight: &Parameter, grad: &Tensor, x: &Tensor) -> Result<()> {
    if crate::gpu::has_kernels(x) {
        return weight_grad_on_gpu::<CudaStorage>(weight, grad, x);
    }
    weight.accumulate(&grad.t()?.matmul(x)?)
}

/// The same by one product, which adds where the gradient is and in its type: nothing of half precision is
/// rounded on the way.
pub(super) fn weight_grad_on_gpu<S: crate::gpu::Machine>(
    weight: &Parameter,
    grad: &Tensor,
    x: &Tensor,
) -> Result<()> {
    let turned = grad.t()?;
    weight.accumulate_in_place(
        || crate::gpu::product::<S>(&turned, x, weight.grad_dtype()),
        |sum| crate::gpu::add_product::<S>(sum, &turned, x),
    )
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "linear"
    }

    on_every_device!(forward);

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (num_out, num_in) = w.dims2()?;
        let num_rows = x.dims()[..x.rank() - 1].iter().product::<usize>();
        let grad = grad.detach().reshape((num_rows, num_out))?;
        if self.weight.is_trainable() {
            let (grad, x) = (grad.clone(), x.detach().reshape((num_rows, num_in))?);
            self.weight.defer(move |weight| weight_grad(weight, &grad, &x))?;
        }
        let input_grad =
            if x.track_op() { Some(grad.matmul(&w.detach())?.reshape(x.shape())?) } else { None };
        Ok((input_grad, None))
    }
}
