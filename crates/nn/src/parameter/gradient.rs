//! The buffer of one parameter's gradient: added to in place when nobody else can see it.

use candle_core::{DType, Result, Tensor};

use crate::cpu::{AddAssign, ScaleAssign};
use crate::every_device::has_kernels;

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

    /// Of a new tensor, which nobody else holds.
    pub(super) fn of_new(tensor: Tensor) -> Self {
        Self { tensor, owned: true }
    }

    pub(super) fn share(&mut self) -> Tensor {
        self.owned = false;
        self.tensor.clone()
    }

    /// The tensor, for who gives up all that it makes of it that is not a copy.
    pub(super) fn peek(&self) -> &Tensor {
        &self.tensor
    }

    /// Adds `grad`, which may be of a narrower dtype, and is of `dtype` from then on.
    pub(super) fn add(&mut self, grad: &Tensor, dtype: DType) -> Result<()> {
        if self.owned
            && self.tensor.dtype() == dtype
            && has_kernels(&self.tensor)
            && has_kernels(grad)
            && grad.device().same_device(self.tensor.device())
            && (dtype == DType::F64) == (grad.dtype() == DType::F64)
        {
            return self.tensor.inplace_op2(&grad.contiguous()?, &AddAssign);
        }
        let sum = (self.tensor.to_dtype(dtype)? + grad.to_dtype(dtype)?)?;
        *self = Self { tensor: sum.detach(), owned: true };
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

    /// The same, of `dtype`.
    pub(super) fn own_as(&mut self, dtype: DType) -> Result<&Tensor> {
        if self.tensor.dtype() != dtype {
            *self = Self { tensor: self.tensor.to_dtype(dtype)?.detach(), owned: false };
        }
        self.own()
    }
}
