//! Sums and products written over a tensor, on the calling thread.
//!
//! candle's own element-wise operations allocate their result and go through one thread pool of
//! the whole process, where ranks that are threads would wait for each other.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, Layout, Result};

use super::{Real, add_to, contiguous, contiguous_mut, for_real};

/// `a += b` for contiguous tensors of one shape.
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
        fn run<T: Real>(
            a: &mut CpuStorage,
            a_layout: &Layout,
            b: &CpuStorage,
            b_layout: &Layout,
        ) -> Result<()> {
            add_to::<T>(contiguous_mut(a, a_layout)?, contiguous(b, b_layout)?);
            Ok(())
        }
        for_real!(b.dtype(), self.name(), T => run::<T>(a, a_layout, b, b_layout))
    }
}

/// `a *= factor` for a contiguous tensor.
pub(crate) struct ScaleAssign(pub(crate) f64);

impl InplaceOp1 for ScaleAssign {
    fn name(&self) -> &'static str {
        "scale in place"
    }

    fn cpu_fwd(&self, a: &mut CpuStorage, layout: &Layout) -> Result<()> {
        fn run<T: Real>(a: &mut CpuStorage, layout: &Layout, factor: T) -> Result<()> {
            for a in contiguous_mut::<T>(a, layout)? {
                *a *= factor;
            }
            Ok(())
        }
        for_real!(a.dtype(), self.name(), T => run::<T>(a, layout, candle_core::WithDType::from_f64(self.0)))
    }
}
