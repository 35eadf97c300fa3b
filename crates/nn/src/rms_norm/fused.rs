//! Root-mean-square normalisation in one pass over each row.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor, WithDType};

use crate::Parameter;
use crate::cpu::{Number, Real, Values, contiguous, count, for_number, sum, sum2, vectorised};

/// `w · x / sqrt(mean(x²) + eps)` for contiguous tensors.
pub(super) struct Normalise {
    pub(super) weight: Parameter,
    pub(super) eps: f64,
}

/// `1 / sqrt(mean(x²) + eps)` of one row.
#[inline(always)]
pub(super) fn inverse_root<N: Number>(row: &[N], eps: N::Real, num: N::Real) -> N::Real {
    N::one().wide() / (sum(row, |x| x * x) / num + eps).sqrt()
}

/// `y = w · x r`, rounded before the product as well: half precision is so in Hugging Face's models.
#[inline(always)]
pub(super) fn scale<N: Number>(y: &mut [N], x: &[N], w: &[N], r: N::Real) {
    for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
        *y = N::narrow(N::narrow(x.wide() * r).wide() * w.wide());
    }
}

fn forward<N: Number>(x: &[N], w: &[N], eps: f64) -> CpuStorage {
    let (eps, num) = (<N::Real as WithDType>::from_f64(eps), count(w));
    let mut y = vec![N::zero(); x.len()];
    let width = w.len().max(1);
    vectorised(
        #[inline(always)]
        || {
            for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                let r = inverse_root(x, eps, num);
                scale(y, x, w, r);
            }
        },
    );
    N::to_cpu_storage_owned(y)
}

fn input_grad<N: Number>(x: &Tensor, w: &Tensor, grad: &Tensor, eps: f64) -> Result<Tensor> {
    let (x_values, w_values, grad_values) = (Values::of(x), Values::of(w), Values::of(grad));
    let (xs, w, grads) =
        (x_values.slice::<N>()?, w_values.slice::<N>()?, grad_values.slice::<N>()?);
    let (eps, num) = (<N::Real as WithDType>::from_f64(eps), count(w));
    let width = w.len().max(1);
    let mut out = vec![N::zero(); xs.len()];
    let mut scaled = vec![N::zero().wide(); width];
    vectorised(
        #[inline(always)]
        || {
            let rows = out.chunks_exact_mut(width).zip(xs.chunks_exact(width));
            for ((out, x), grad) in rows.zip(grads.chunks_exact(width)) {
                let r = inverse_root(x, eps, num);
                for ((scaled, grad), w) in scaled.iter_mut().zip(grad).zip(w) {
                    *scaled = grad.wide() * w.wide() * r;
                }
                let along = sum2(&scaled, x, |g, x| g * x) * r * r / num;
                for ((out, &scaled), x) in out.iter_mut().zip(&scaled).zip(x) {
                    *out = N::narrow(scaled - x.wide() * along);
                }
            }
        },
    );
    Tensor::from_vec(out, x.shape(), &Device::Cpu)
}

fn weight_grad<N: Number>(x: &Tensor, grad: &Tensor, weight: &Parameter, eps: f64) -> Result<()> {
    let (x, grad) = (Values::of(x), Values::of(grad));
    let (xs, grads) = (x.slice::<N>()?, grad.slice::<N>()?);
    let width = weight.num_elements().max(1);
    let mut sums = vec![N::zero().wide(); weight.num_elements()];
    let (eps, num) = (<N::Real as WithDType>::from_f64(eps), count(&sums));
    vectorised(
        #[inline(always)]
        || {
            for (x, grad) in xs.chunks_exact(width).zip(grads.chunks_exact(width)) {
                let r = inverse_root(x, eps, num);
                for ((sum, x), grad) in sums.iter_mut().zip(x).zip(grad) {
                    *sum += grad.wide() * N::narrow(x.wide() * r).wide();
                }
            }
        },
    );
    let sums = Tensor::from_vec(sums, weight.shape(), &Device::Cpu)?;
    weight.accumulate(&sums)
}

impl CustomOp2 for Normalise {
    fn name(&self) -> &'static str {
        "rms norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let y = for_number!(x.dtype(), self.name(), N => {
            Ok(forward::<N>(contiguous(x, xl)?, contiguous(w, wl)?, self.eps))
        })?;
        Ok((y, xl.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.detach().contiguous()?;
        if self.weight.is_trainable() {
            let (x, grad, eps) = (x.detach(), grad.clone(), self.eps);
            self.weight.defer(move |weight| {
                for_number!(x.dtype(), "rms norm", N => weight_grad::<N>(&x, &grad, weight, eps))
            })?;
        }
        if !x.track_op() {
            return Ok((None, None));
        }
        let input_grad =
            for_number!(x.dtype(), self.name(), N => input_grad::<N>(x, w, &grad, self.eps))?;
        Ok((Some(input_grad), None))
    }
}
