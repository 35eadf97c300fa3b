//! Dropout in one pass, the same operation on the way back.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::mask::Mask;
use crate::cpu::{Number, contiguous, for_number};

/// `x` with some numbers zeroed and the others scaled, for a contiguous `x`.
#[derive(Clone)]
pub(super) struct Fused {
    pub(super) mask: Mask,
}

impl Fused {
    fn forward<N: Number>(&self, x: &[N], num_rows: usize) -> CpuStorage {
        let mut y = vec![N::zero(); x.len()];
        self.mask.multiply(x, &mut y, num_rows);
        N::to_cpu_storage_owned(y)
    }
}

impl CustomOp1 for Fused {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let num_rows = layout.dims().first().copied().unwrap_or(1);
        let y = for_number!(x.dtype(), self.name(), N => {
            Ok(self.forward::<N>(contiguous(x, layout)?, num_rows))
        })?;
        Ok((y, layout.shape().clone()))
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok((super::on_gpu::multiply(&self.mask, (x, layout))?, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        grad.contiguous()?.apply_op1_no_bwd(self).map(Some)
    }
}
