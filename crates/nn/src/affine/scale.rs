//! The product x · w whose weight gradient waits, on every device.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp2, Layout, MetalStorage, Result, Shape, Tensor, op,
};

use crate::Parameter;

/// `x · (offset + w)` in the dtype of `x`, which may be wider than that of `w` if there is an offset, for `x` of shape `[.., n]` and `w` of shape `[n]`.
pub(crate) struct Scale {
    weight: Parameter,
    offset: f64,
}

impl Scale {
    /// `x · w`.
    pub(crate) fn by(weight: &Parameter) -> Self {
        Self { weight: weight.clone(), offset: 0. }
    }

    /// `x · (1 + w)`.
    pub(crate) fn by_one_plus(weight: &Parameter) -> Self {
        Self { weight: weight.clone(), offset: 1. }
    }

    fn forward<S: BackendStorage>(
        &self,
        x: &S,
        x_layout: &Layout,
        w: &S,
        w_layout: &Layout,
    ) -> Result<(S, Shape)> {
        let shape = x_layout.shape();
        let product = |w: &S, w_layout: &Layout| {
            x.binary_impl::<op::Mul>(w, x_layout, &w_layout.broadcast_as(shape.clone())?)
        };
        let product = if self.offset == 0. {
            product(w, w_layout)?
        } else {
            let contiguous = Layout::contiguous(w_layout.shape());
            let w = w.to_dtype(w_layout, x.dtype())?.affine(&contiguous, 1., self.offset)?;
            product(&w, &contiguous)?
        };
        Ok((product, shape.clone()))
    }
}

impl CustomOp2 for Scale {
    fn name(&self) -> &'static str {
        "scale by weight"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward(x, xl, w, wl)
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        w: &CudaStorage,
        wl: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.forward(x, xl, w, wl)
    }

    fn metal_fwd(
        &self,
        x: &MetalStorage,
        xl: &Layout,
        w: &MetalStorage,
        wl: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        self.forward(x, xl, w, wl)
    }

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
        let factor = if self.offset == 0. { factor } else { (factor + self.offset)? };
        Ok((Some(grad.broadcast_mul(&factor)?), None))
    }
}
