//! The sum y + b whose bias gradient waits.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp2, Layout, MetalStorage, Result, Shape, Tensor, op,
};

use crate::Parameter;

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

    fn cpu_fwd(
        &self,
        y: &CpuStorage,
        yl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        forward(y, yl, b, bl)
    }

    fn cuda_fwd(
        &self,
        y: &CudaStorage,
        yl: &Layout,
        b: &CudaStorage,
        bl: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        forward(y, yl, b, bl)
    }

    fn metal_fwd(
        &self,
        y: &MetalStorage,
        yl: &Layout,
        b: &MetalStorage,
        bl: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        forward(y, yl, b, bl)
    }

    fn bwd(
        &self,
        y: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if self.bias.is_trainable() {
            let grad = grad.detach().reshape(((), b.elem_count()))?;
            self.bias.defer(move |bias| bias.accumulate(&grad.sum(0)?));
        }
        Ok((y.track_op().then(|| grad.clone()), None))
    }
}
