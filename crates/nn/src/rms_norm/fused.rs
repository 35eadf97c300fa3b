//! Root-mean-square normalisation in one pass over each row.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor};

use crate::Parameter;
use crate::cpu::{Real, Values, contiguous, for_real, sum, sum2};

/// `w · x / sqrt(mean(x²) + eps)` for contiguous tensors.
pub(super) struct Normalise {
    pub(super) weight: Parameter,
    pub(super) eps: f64,
}

/// `1 / sqrt(mean(x²) + eps)` of one row.
fn inverse_root<T: Real>(row: &[T], eps: T, num: T) -> T {
    T::one() / (sum(row, |x| x * x) / num + eps).sqrt()
}

/// The length of a row as a number to divide by.
fn count<T: Real>(row: &[T]) -> T {
    T::from_f64(u32::try_from(row.len()).unwrap_or(u32::MAX).into())
}

fn forward<T: Real>(x: &[T], w: &[T], eps: f64) -> CpuStorage {
    let (eps, num) = (T::from_f64(eps), count(w));
    let mut y = vec![T::zero(); x.len()];
    let width = w.len().max(1);
    for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        let r = inverse_root(x, eps, num);
        for ((y, &x), &w) in y.iter_mut().zip(x).zip(w) {
            *y = x * r * w;
        }
    }
    T::to_cpu_storage_owned(y)
}

fn input_grad<T: Real>(x: &Tensor, w: &Tensor, grad: &Tensor, eps: f64) -> Result<Tensor> {
    let (x_values, w_values, grad_values) = (Values::of(x), Values::of(w), Values::of(grad));
    let (xs, w, grads) =
        (x_values.slice::<T>()?, w_values.slice::<T>()?, grad_values.slice::<T>()?);
    let (eps, num) = (T::from_f64(eps), count(w));
    let width = w.len().max(1);
    let mut out = vec![T::zero(); xs.len()];
    let rows =
        out.chunks_exact_mut(width).zip(xs.chunks_exact(width)).zip(grads.chunks_exact(width));
    for ((out, x), grad) in rows {
        let r = inverse_root(x, eps, num);
        for ((out, &grad), &w) in out.iter_mut().zip(grad).zip(w) {
            *out = grad * w * r;
        }
        let along = sum2(out, x, |g, x| g * x) * r * r / num;
        for (out, &x) in out.iter_mut().zip(x) {
            *out -= x * along;
        }
    }
    Tensor::from_vec(out, x.shape(), &Device::Cpu)
}

fn weight_grad<T: Real>(x: &Tensor, grad: &Tensor, weight: &Parameter, eps: f64) -> Result<()> {
    let (x, grad) = (Values::of(x), Values::of(grad));
    let width = weight.num_elements().max(1);
    let mut sum = vec![T::zero(); weight.num_elements()];
    let (eps, num) = (T::from_f64(eps), count(&sum));
    for (x, grad) in x.slice::<T>()?.chunks_exact(width).zip(grad.slice::<T>()?.chunks_exact(width))
    {
        let r = inverse_root(x, eps, num);
        for ((sum, &x), &grad) in sum.iter_mut().zip(x).zip(grad) {
            *sum += grad * (x * r);
        }
    }
    weight.accumulate(&Tensor::from_vec(sum, weight.shape(), &Device::Cpu)?)
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
        let y = for_real!(x.dtype(), self.name(), T => {
            Ok(forward::<T>(contiguous(x, xl)?, contiguous(w, wl)?, self.eps))
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
                for_real!(x.dtype(), "rms norm", T => weight_grad::<T>(&x, &grad, weight, eps))
            });
        }
        if !x.track_op() {
            return Ok((None, None));
        }
        let input_grad =
            for_real!(x.dtype(), self.name(), T => input_grad::<T>(x, w, &grad, self.eps))?;
        Ok((Some(input_grad), None))
    }
}
