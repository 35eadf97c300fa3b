//! The sum of a residual stream and a block's result, normalised in the same pass.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{
    CpuStorage, CudaStorage, CustomOp2, Layout, Result, Shape, Storage, Tensor, WithDType,
};

use super::factor::Factor;
use super::fused::{Normalise, Rule, inverse_root, scale};
use crate::cpu::{Number, contiguous, count, for_number, vectorised};

/// What the sum's pass has already normalised, for the operation that comes next.
pub(super) type Ahead = Arc<Mutex<Option<Storage>>>;

/// `x + r` for contiguous tensors of one shape; on the way it normalises the sum, row by row, while it
/// is in the first cache.
pub(super) struct AddAhead<F> {
    pub(super) weight: Tensor,
    pub(super) rule: Rule<F>,
    pub(super) ahead: Ahead,
}

/// The normalisation of a sum, which [`AddAhead`] has computed; its backward is that of any other.
pub(super) struct NormaliseAhead<F> {
    pub(super) normalise: Normalise<F>,
    pub(super) ahead: Ahead,
}

fn put(ahead: &Ahead, y: Storage) {
    *ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(y);
}

fn take(ahead: &Ahead) -> Option<Storage> {
    ahead.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn forward<N: Number>(
    x: &[N],
    r: &[N],
    w: &[N],
    rule: Rule<impl Factor>,
) -> (CpuStorage, CpuStorage) {
    let (eps, num) = (<N::Real as WithDType>::from_f64(rule.eps), count(w));
    let mut sum = vec![N::zero(); x.len()];
    let mut y = vec![N::zero(); x.len()];
    let width = w.len().max(1);
    vectorised(
        #[inline(always)]
        || {
            let rows = sum.chunks_exact_mut(width).zip(y.chunks_exact_mut(width));
            for ((sum, y), (x, r)) in rows.zip(x.chunks_exact(width).zip(r.chunks_exact(width))) {
                for ((sum, x), r) in sum.iter_mut().zip(x).zip(r) {
                    *sum = N::narrow(x.wide() + r.wide());
                }
                let root = inverse_root(sum, eps, num);
                scale(y, sum, w, root, rule.factor);
            }
        },
    );
    (N::to_cpu_storage_owned(sum), N::to_cpu_storage_owned(y))
}

impl<F: Factor> CustomOp2 for AddAhead<F> {
    fn name(&self) -> &'static str {
        "residual"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        r: &CpuStorage,
        rl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let weight = crate::cpu::Values::of(&self.weight);
        let (sum, y) = for_number!(candle_core::backend::BackendStorage::dtype(x), self.name(), N => {
            Ok(forward::<N>(contiguous(x, xl)?, contiguous(r, rl)?, weight.slice()?, self.rule))
        })?;
        put(&self.ahead, Storage::Cpu(y));
        Ok((sum, xl.shape().clone()))
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        r: &CudaStorage,
        rl: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let [sum, y] = crate::gpu::read([&self.weight], |[weight]| {
            super::on_gpu::forward_sum([(x, xl), (r, rl), weight], self.rule.on_gpu())
        })?;
        put(&self.ahead, Storage::Cuda(y));
        Ok((sum, xl.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        r: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let of = |input: &Tensor| input.track_op().then(|| grad.clone());
        Ok((of(x), of(r)))
    }
}

impl<F: Factor> CustomOp2 for NormaliseAhead<F> {
    fn name(&self) -> &'static str {
        self.normalise.name()
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        match take(&self.ahead) {
            Some(Storage::Cpu(y)) => Ok((y, xl.shape().clone())),
            // Somebody else's tensors: nothing has been computed for them.
            Some(Storage::Cuda(_) | Storage::Metal(_)) | None => {
                self.normalise.cpu_fwd(x, xl, w, wl)
            }
        }
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        w: &CudaStorage,
        wl: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        match take(&self.ahead) {
            Some(Storage::Cuda(y)) => Ok((y, xl.shape().clone())),
            Some(Storage::Cpu(_) | Storage::Metal(_)) | None => {
                self.normalise.cuda_fwd(x, xl, w, wl)
            }
        }
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.normalise.bwd(x, w, y, grad)
    }
}
