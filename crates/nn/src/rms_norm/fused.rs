//! Root-mean-square normalisation in one pass over each row.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp2, Device, Layout, Result, Shape, Tensor, WithDType,
};

use super::factor::Factor;
use super::on_gpu::{self, GpuRule};
use crate::Parameter;
use crate::cpu::{Number, Real, Values, contiguous, count, for_number, sum, sum2, vectorised};
use crate::gpu::Machine;

/// `f · x / sqrt(mean(x²) + eps)` for contiguous tensors, the factor from the weight.
pub(super) struct Normalise<F> {
    pub(super) weight: Parameter,
    pub(super) rule: Rule<F>,
}

/// What is the same for all rows.
#[derive(Clone, Copy)]
pub(super) struct Rule<F> {
    pub(super) eps: f64,
    pub(super) factor: F,
}

/// `1 / sqrt(mean(x²) + eps)` of one row.
#[inline(always)]
pub(super) fn inverse_root<N: Number>(row: &[N], eps: N::Real, num: N::Real) -> N::Real {
    N::one().wide() / (sum(row, |x| x * x) / num + eps).sqrt()
}

/// `y = f · x r`.
#[inline(always)]
pub(super) fn scale<N: Number>(y: &mut [N], x: &[N], w: &[N], r: N::Real, factor: impl Factor) {
    for ((y, x), &w) in y.iter_mut().zip(x).zip(w) {
        *y = N::narrow(factor.rounded::<N>(x.wide() * r) * factor.of(w));
    }
}

fn forward<N: Number>(x: &[N], w: &[N], rule: Rule<impl Factor>) -> CpuStorage {
    let (eps, num) = (<N::Real as WithDType>::from_f64(rule.eps), count(w));
    let mut y = vec![N::zero(); x.len()];
    let width = w.len().max(1);
    vectorised(
        #[inline(always)]
        || {
            for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                let r = inverse_root(x, eps, num);
                scale(y, x, w, r, rule.factor);
            }
        },
    );
    N::to_cpu_storage_owned(y)
}

fn input_grad<N: Number, F: Factor>(
    rule: Rule<F>,
    x: &Tensor,
    w: &Tensor,
    grad: &Tensor,
) -> Result<Tensor> {
    let (x_values, w_values, grad_values) = (Values::of(x), Values::of(w), Values::of(grad));
    let (xs, w, grads) =
        (x_values.slice::<N>()?, w_values.slice::<N>()?, grad_values.slice::<N>()?);
    let (eps, num) = (<N::Real as WithDType>::from_f64(rule.eps), count(w));
    let width = w.len().max(1);
    let mut out = vec![N::zero(); xs.len()];
    let mut scaled = vec![N::zero().wide(); width];
    vectorised(
        #[inline(always)]
        || {
            let rows = out.chunks_exact_mut(width).zip(xs.chunks_exact(width));
            for ((out, x), grad) in rows.zip(grads.chunks_exact(width)) {
                let r = inverse_root(x, eps, num);
                for ((scaled, grad), &w) in scaled.iter_mut().zip(grad).zip(w) {
                    *scaled = grad.wide() * rule.factor.of(w) * r;
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

fn weight_grad<N: Number, F: Factor>(
    rule: Rule<F>,
    x: &Tensor,
    grad: &Tensor,
    weight: &Parameter,
) -> Result<()> {
    let (x, grad) = (Values::of(x), Values::of(grad));
    let (xs, grads) = (x.slice::<N>()?, grad.slice::<N>()?);
    let width = weight.num_elements().max(1);
    let mut sums = vec![N::zero().wide(); weight.num_elements()];
    let (eps, num) = (<N::Real as WithDType>::from_f64(rule.eps), count(&sums));
    vectorised(
        #[inline(always)]
        || {
            for (x, grad) in xs.chunks_exact(width).zip(grads.chunks_exact(width)) {
                let r = inverse_root(x, eps, num);
                for ((sum, x), grad) in sums.iter_mut().zip(x).zip(grad) {
                    *sum += grad.wide() * rule.factor.rounded::<N>(x.wide() * r);
                }
            }
        },
    );
    let sums = Tensor::from_vec(sums, weight.shape(), &Device::Cpu)?;
    weight.accumulate(&sums)
}

impl<F: Factor> Rule<F> {
    pub(super) fn on_gpu(self) -> GpuRule {
        GpuRule { eps: self.eps, has_offset: F::HAS_OFFSET }
    }
}

impl<F: Factor> Normalise<F> {
    /// Sees to the gradient of the weight and returns that of `x`.
    pub(super) fn backward_on_gpu<S: Machine>(
        &self,
        x: &Tensor,
        w: &Tensor,
        grad: Tensor,
    ) -> Result<Option<Tensor>> {
        let (rule, inner) = (self.rule.on_gpu(), x.detach());
        let [input_grad, roots] = on_gpu::backward::<S>([&inner, w, &grad], rule)?;
        if self.weight.is_trainable() {
            self.weight.defer(move |weight| {
                on_gpu::weight_grad::<S>(weight, [&inner, &grad, &roots], rule)
            })?;
        }
        Ok(x.track_op().then_some(input_grad))
    }
}

impl<F: Factor> CustomOp2 for Normalise<F> {
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
            Ok(forward::<N>(contiguous(x, xl)?, contiguous(w, wl)?, self.rule))
        })?;
        Ok((y, xl.shape().clone()))
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        w: &CudaStorage,
        wl: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        Ok((on_gpu::forward((x, xl), (w, wl), self.rule.on_gpu())?, xl.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.detach().contiguous()?;
        if crate::gpu::has_kernels(x) {
            return Ok((self.backward_on_gpu::<CudaStorage>(x, w, grad)?, None));
        }
        if self.weight.is_trainable() {
            let (rule, x, grad) = (self.rule, x.detach(), grad.clone());
            self.weight.defer(move |weight| {
                for_number!(x.dtype(), "rms norm", N => weight_grad::<N, F>(rule, &x, &grad, weight))
            })?;
        }
        if !x.track_op() {
            return Ok((None, None));
        }
        let input_grad =
            for_number!(x.dtype(), self.name(), N => input_grad::<N, F>(self.rule, x, w, &grad))?;
        Ok((Some(input_grad), None))
    }
}
