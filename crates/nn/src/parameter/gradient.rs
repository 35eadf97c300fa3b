//! The buffer of one parameter's gradient: added to in place when nobody else can see it.

use candle_core::{Result, Tensor};

use crate::cpu::{AddAssign, ScaleAssign, has_kernels};

pub(super) struct Gradient {
    tensor: Tensor,
    /// Whether this buffer alone holds the storage. Tensors are values to those who hold them, so
    /// one that came from elsewhere or was handed out is never written to.
    owned: bool,
}

impl Gradient {
    pub(super) fn from_others(tensor: Tensor) -> Self {
        Self { tensor, owned: false }
    }

    pub(super) fn zeros(like: &Tensor) -> Result<Self> {
        let tensor = Tensor::zeros(like.shape(), like.dtype(), like.device())?;
        Ok(Self { tensor, owned: true })
    }

    pub(super) fn share(&mut self) -> Tensor {
        self.owned = false;
        self.tensor.clone()
    }

    pub(super) fn add(&mut self, grad: &Tensor) -> Result<()> {
        if self.owned && has_kernels(&self.tensor) {
            return self.tensor.inplace_op2(&grad.contiguous()?, &AddAssign);
        }
        *self = Self { tensor: (&self.tensor + grad)?.detach(), owned: true };
        Ok(())
    }

    pub(super) fn scale(&mut self, factor: f64) -> Result<()> {
        if has_kernels(&self.tensor) {
            return self.own()?.inplace_op1(&ScaleAssign(factor));
        }
        *self = Self { tensor: (&self.tensor * factor)?.detach(), owned: true };
        Ok(())
    }

    /// The tensor, contiguous and seen by nobody else.
    pub(super) fn own(&mut self) -> Result<&Tensor> {
        if !self.owned {
            *self = Self { tensor: self.tensor.force_contiguous()?.detach(), owned: true };
        }
        Ok(&self.tensor)
    }
}
