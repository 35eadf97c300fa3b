//! The product x · w whose weight gradient waits, on every device.

use candle_core::backend::BackendStorage;
use candle_core::{CustomOp2, Layout, Result, Shape, Tensor, op};

use crate::Parameter;
use crate::every_device::on_every_device;

/// `x · (OFFSET + w)` in the dtype of `x`, for `x` of shape `[.., n]` and `w` of shape `[n]`. With an
/// offset `x` may be wider than `w`.
pub(crate) struct Scale<const OFFSET: u8> {
    weight: Parameter,
}

impl Scale<0> {
    /// `x · w`.
    pub(crate) fn by(weight: &Parameter) -> Self {
        Self { weight: weight.clone() }
    }
}

impl Scale<1> {
    /// `x · (1 + w)`.
    pub(crate) fn by_one_plus(weight: &Parameter) -> Self {
        Self { weight: weight.clone() }
    }
}

impl<const OFFSET: u8> Scale<OFFSET> {
    fn forward<S: BackendStorage>(
        x: &S,
        x_layout: &Layout,
        w: &S,
        w_layout: &Layout,
    ) -> Result<(S, Shape)> {
        let shape = x_layout.shape();
        let product = |w: &S, w_layout: &Layout| {
            x.binary_impl::<op::Mul>(w, x_layout, &w_layout.broadcast_as(shape.clone())?)
        };
        let product = if OFFSET == 0 {
            product(w, w_layout)?
        } else {
            let contiguous = Layout::contiguous(w_layout.shape());
            let w = w.to_dtype(w_layout, x.dtype())?.affine(&contiguous, 1., OFFSET.into())?;
            product(&w, &contiguous)?
        };
        Ok((product, shape.clone()))
    }
}

impl<const OFFSET: u8> CustomOp2 for Scale<OFFSET> {
    fn name(&self) -> &'static str {
        "scale by weight"
    }

    on_every_device!(Self::forward);

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
                // A sum over all rows is as wide as the buffer it goes into.
                let dtype = weight.grad_dtype();
                let product = (x.to_dtype(dtype)? * grad.to_dtype(dtype)?)?;
                weight.accumulate(&product.reshape(((), hidden))?.sum(0)?)
            })?;
        }
        if !x.track_op() {
            return Ok((None, None));
        }
        let factor = w.detach().to_dtype(x.dtype())?;
        let factor = if OFFSET == 0 { factor } else { (factor + f64::from(OFFSET))? };
        Ok((Some(grad.broadcast_mul(&factor)?), None))
    }
}
