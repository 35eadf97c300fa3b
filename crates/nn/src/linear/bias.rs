//! The sum y + b whose bias gradient waits.

use candle_core::backend::BackendStorage;
use candle_core::{CustomOp2, Layout, Result, Shape, Tensor, op};

use crate::Parameter;
use crate::every_device::on_every_device;

/// `y + b` for `y` of shape `[.., n]` and `b` of shape `[n]`.
pub(super) struct AddBias {
    pub(super) bias: Parameter,
}

fn forward<S: BackendStorage>(
    y: &S,
    y_layout: &Layout,
    b: &S,
    b_layout: &Layout,
) -> Result<(S, Shape)> {
    let shape = y_layout.shape();
    let sum = y.binary_impl::<op::Add>(b, y_layout, &b_layout.broadcast_as(shape.clone())?)?;
    Ok((sum, shape.clone()))
}

impl CustomOp2 for AddBias {
    fn name(&self) -> &'static str {
        "add bias"
    }

    on_every_device!(forward);

    fn bwd(
        &self,
        y: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if self.bias.is_trainable() {
            let grad = grad.detach().reshape(((), b.elem_count()))?;
            self.bias
                .defer(move |bias| bias.accumulate(&grad.to_dtype(bias.grad_dtype())?.sum(0)?))?;
        }
        Ok((y.track_op().then(|| grad.clone()), None))
    }
}
