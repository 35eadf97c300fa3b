//! The product x · w whose weight gradient waits, on every device.

use candle_core::backend::BackendStorage;
use candle_core::{CustomOp2, Layout, Result, Shape, Tensor, op};

use crate::Parameter;
use crate::every_device::on_every_device;

/// `x · w` for `x` of shape `[.., n]` and `w` of shape `[n]`.
pub(crate) struct Scale {
    pub(crate) weight: Parameter,
}

fn forward<S: BackendStorage>(
    x: &S,
    x_layout: &Layout,
    w: &S,
    w_layout: &Layout,
) -> Result<(S, Shape)> {
    let shape = x_layout.shape();
    let product = x.binary_impl::<op::Mul>(w, x_layout, &w_layout.broadcast_as(shape.clone())?)?;
    Ok((product, shape.clone()))
}

impl CustomOp2 for Scale {
    fn name(&self) -> &'static str {
        "scale by weight"
    }

    on_every_device!(forward);

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.detach();
        if self.weight.is_trainable() {
            let (x, grad, hidden) = (x.detach(), grad.clone(), w.elem_count());
            self.weight.defer(move |weight| {
                weight.accumulate(&(x * grad)?.reshape(((), hidden))?.sum(0)?)
            })?;
        }
        let input_grad = if x.track_op() { Some(grad.broadcast_mul(&w.detach())?) } else { None };
        Ok((input_grad, None))
    }
}
