//! Layer normalisation row by row, each read from memory once.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp2, CustomOp3, Device, Layout, Result, Shape, Tensor, WithDType,
};

use crate::Parameter;
use crate::affine::bias_grad;
use crate::cpu::{Number, Real, Values, contiguous, count, for_number, sum, sum2, vectorised};

/// `w · (x - mean(x)) / sqrt(var(x) + eps) + b` for contiguous tensors; without a bias it takes two
/// arguments.
pub(super) struct Normalise {
    pub(super) weight: Parameter,
    pub(super) bias: Option<Parameter>,
    pub(super) eps: f64,
}

/// How rows are normalised: the length of one as a number, and what is added to the variance.
#[derive(Clone, Copy)]
struct Rows<T> {
    num: T,
    eps: T,
}

impl<T: Real> Rows<T> {
    fn of<N: Number<Real = T>>(w: &[N], eps: f64) -> Self {
        Self { num: count(w), eps: <T as WithDType>::from_f64(eps) }
    }

    /// `mean(x)` and `1 / sqrt(var(x) + eps)` of one row.
    #[inline(always)]
    fn statistics<N: Number<Real = T>>(self, row: &[N]) -> (T, T) {
        let mean = sum(row, |x| x) / self.num;
        let variance = sum(row, |x| (x - mean) * (x - mean)) / self.num;
        (mean, T::one() / (variance + self.eps).sqrt())
    }
}

fn forward<N: Number>(x: &[N], w: &[N], bias: Option<&[N]>, eps: f64) -> CpuStorage {
    let rows = Rows::of(w, eps);
    let mut y = vec![N::zero(); x.len()];
    let width = w.len().max(1);
    vectorised(
        #[inline(always)]
        || {
            for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                let (mean, r) = rows.statistics(x);
                let scaled = |x: &N, w: &N| (x.wide() - mean) * r * w.wide();
                match bias {
                    Some(bias) => {
                        for (((y, x), w), bias) in y.iter_mut().zip(x).zip(w).zip(bias) {
                            *y = N::narrow(scaled(x, w) + bias.wide());
                        }
                    }
                    None => {
                        for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
                            *y = N::narrow(scaled(x, w));
                        }
                    }
                }
            }
        },
    );
    N::to_cpu_storage_owned(y)
}

fn input_grad<N: Number>(x: &Tensor, w: &Tensor, grad: &Tensor, eps: f64) -> Result<Tensor> {
    let (x_values, w_values, grad_values) = (Values::of(x), Values::of(w), Values::of(grad));
    let (xs, w, grads) =
        (x_values.slice::<N>()?, w_values.slice::<N>()?, grad_values.slice::<N>()?);
    let rows = Rows::of(w, eps);
    let width = w.len().max(1);
    let mut out = vec![N::zero(); xs.len()];
    let mut scaled = vec![N::zero().wide(); width];
    vectorised(
        #[inline(always)]
        || {
            let in_out = out.chunks_exact_mut(width).zip(xs.chunks_exact(width));
            for ((out, x), grad) in in_out.zip(grads.chunks_exact(width)) {
                let (mean, r) = rows.statistics(x);
                for ((scaled, grad), w) in scaled.iter_mut().zip(grad).zip(w) {
                    *scaled = grad.wide() * w.wide() * r;
                }
                let level = sum(&scaled, |g| g) / rows.num;
                let along = sum2(&scaled, x, |g, x| g * (x - mean)) * r * r / rows.num;
                for ((out, &scaled), x) in out.iter_mut().zip(&scaled).zip(x) {
                    *out = N::narrow(scaled - level - (x.wide() - mean) * along);
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
    let rows = Rows::of(&sums, eps);
    vectorised(
        #[inline(always)]
        || {
            for (x, grad) in xs.chunks_exact(width).zip(grads.chunks_exact(width)) {
                let (mean, r) = rows.statistics(x);
                for ((sum, x), grad) in sums.iter_mut().zip(x).zip(grad) {
                    *sum += grad.wide() * (x.wide() - mean) * r;
                }
            }
        },
    );
    weight.accumulate(&Tensor::from_vec(sums, weight.shape(), &Device::Cpu)?)
}

impl Normalise {
    fn run(
        &self,
        x: (&CpuStorage, &Layout),
        w: (&CpuStorage, &Layout),
        bias: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, Shape)> {
        let y = for_number!(x.0.dtype(), "layer norm", N => {
            let bias = bias.map(|(bias, layout)| contiguous::<N>(bias, layout)).transpose()?;
            Ok(forward::<N>(contiguous(x.0, x.1)?, contiguous(w.0, w.1)?, bias, self.eps))
        })?;
        Ok((y, x.1.shape().clone()))
    }

    /// Sees to the gradients of weight and bias and returns that of `x`.
    fn backward(&self, x: &Tensor, w: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (grad, eps) = (grad.detach().contiguous()?, self.eps);
        if let Some(bias) = self.bias.as_ref().filter(|bias| bias.is_trainable()) {
            let grad = grad.clone();
            bias.defer(move |bias| bias_grad(bias, &grad))?;
        }
        if self.weight.is_trainable() {
            let (x, grad) = (x.detach(), grad.clone());
            self.weight.defer(move |weight| {
                for_number!(x.dtype(), "layer norm", N => weight_grad::<N>(&x, &grad, weight, eps))
            })?;
        }
        if !x.track_op() {
            return Ok(None);
        }
        for_number!(x.dtype(), "layer norm", N => input_grad::<N>(x, w, &grad, eps)).map(Some)
    }
}

impl CustomOp2 for Normalise {
    fn name(&self) -> &'static str {
        "layer norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run((x, xl), (w, wl), None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((self.backward(x, w, grad)?, None))
    }
}

impl CustomOp3 for Normalise {
    fn name(&self) -> &'static str {
        "layer norm with bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run((x, xl), (w, wl), Some((b, bl)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        Ok((self.backward(x, w, grad)?, None, None))
    }
}
