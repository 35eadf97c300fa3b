//! Sums and products written over a tensor, on the calling thread.
//!
//! candle's own element-wise operations allocate their result and go through one thread pool of
//! the whole process, where ranks that are threads would wait for each other.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, InplaceOp1, InplaceOp2, Layout, Result, Tensor, WithDType,
};

use super::{Number, add_to, contiguous, contiguous_mut, for_number, vectorised};
use crate::every_device::write_on;

/// Hands the numbers of a contiguous tensor to `f` to be written; whoever else holds the tensor
/// sees them change.
///
/// # Errors
/// If the tensor is strided, elsewhere, or of another dtype; or what `f` says.
pub(crate) fn write<N: Number>(
    tensor: &Tensor,
    f: impl FnOnce(&mut [N]) -> Result<()>,
) -> Result<()> {
    write_on::<CpuStorage>(tensor, |storage, layout| f(contiguous_mut(storage, layout)?))
}

/// `a += b` for contiguous tensors of one shape; `a` may be of the type that `b` is computed in.
pub(crate) struct AddAssign;

impl InplaceOp2 for AddAssign {
    fn name(&self) -> &'static str {
        "add in place"
    }

    fn cpu_fwd(
        &self,
        a: &mut CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<()> {
        fn run<N: Number>(
            a: &mut CpuStorage,
            a_layout: &Layout,
            b: &CpuStorage,
            b_layout: &Layout,
        ) -> Result<()> {
            let (a, b) = (contiguous_mut::<N::Real>(a, a_layout)?, contiguous::<N>(b, b_layout)?);
            vectorised(
                #[inline(always)]
                || add_to(a, b),
            );
            Ok(())
        }
        for_number!(b.dtype(), self.name(), N => run::<N>(a, a_layout, b, b_layout))
    }

    fn cuda_fwd(
        &self,
        a: &mut CudaStorage,
        a_layout: &Layout,
        b: &CudaStorage,
        b_layout: &Layout,
    ) -> Result<()> {
        crate::gpu::add((a, a_layout), (b, b_layout))
    }
}

/// `a *= factor` for a contiguous tensor.
pub(crate) struct ScaleAssign(pub(crate) f64);

impl InplaceOp1 for ScaleAssign {
    fn name(&self) -> &'static str {
        "scale in place"
    }

    fn cpu_fwd(&self, a: &mut CpuStorage, layout: &Layout) -> Result<()> {
        fn run<N: Number>(a: &mut CpuStorage, layout: &Layout, factor: f64) -> Result<()> {
            let a = contiguous_mut::<N>(a, layout)?;
            let factor = <N::Real as WithDType>::from_f64(factor);
            vectorised(
                #[inline(always)]
                || {
                    for a in a {
                        *a = N::narrow(a.wide() * factor);
                    }
                },
            );
            Ok(())
        }
        for_number!(a.dtype(), self.name(), N => run::<N>(a, layout, self.0))
    }

    fn cuda_fwd(&self, a: &mut CudaStorage, layout: &Layout) -> Result<()> {
        crate::gpu::scale((a, layout), self.0)
    }
}
