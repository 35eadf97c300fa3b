//! The choice of experts by the largest logits, and the weights of those chosen.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, D, Device, Layout, Result, Shape, Tensor};

use super::Chosen;
use crate::cpu::{
    Number, Real, Values, contiguous, for_number, has_kernels, max, sum, sum2, vectorised,
};
use crate::every_device::wide_dtype;

/// The `k` largest of each row of `logits`, which has at least so many columns, by falling size.
pub(super) fn top_k(logits: &Tensor, k: usize) -> Result<Vec<u32>> {
    // The order of float32 and wider is that of every dtype.
    let dtype = wide_dtype(logits.dtype());
    let logits = logits.detach().to_dtype(dtype)?.to_device(&Device::Cpu)?.contiguous()?;
    let (num_tokens, num_experts) = logits.dims2()?;
    let values = Values::of(&logits);
    for_number!(dtype, "choice of experts", N => {
        let mut experts = Vec::with_capacity(num_tokens * k);
        for row in values.slice::<N>()?.chunks_exact(num_experts) {
            largest(row, k, &mut experts);
        }
        Ok(experts)
    })
}

/// Adds the places of the `k` largest numbers of `row` to `places`; of equal ones the first.
fn largest<N: Number>(row: &[N], k: usize, places: &mut Vec<u32>) {
    let start = places.len();
    for (place, &x) in (0u32..).zip(row) {
        let found = &places[start..];
        let is_full = found.len() == k;
        let not_smaller = |&other: &u32| row[other as usize] >= x;
        if is_full && found.last().is_some_and(not_smaller) {
            continue;
        }
        let at = start + found.iter().rposition(not_smaller).map_or(0, |i| i + 1);
        places.insert(at, place);
        places.truncate(start + k);
    }
}

/// The weights `[tokens, k]` of the chosen experts, in the dtype of the logits.
pub(super) fn weights(logits: &Tensor, chosen: &Chosen) -> Result<Tensor> {
    if has_kernels(logits) {
        return logits.contiguous()?.apply_op1(Weights(chosen.clone()));
    }
    let num_tokens = logits.dim(0)?;
    let dtype = wide_dtype(logits.dtype());
    let wide = logits.to_dtype(dtype)?;
    let exp = wide.broadcast_sub(&wide.detach().max_keepdim(D::Minus1)?)?.exp()?;
    let probabilities = exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?;
    let experts = Tensor::from_slice(&chosen.experts, (num_tokens, chosen.k), logits.device())?;
    let weights = probabilities.gather(&experts, 1)?;
    let weights = if chosen.normalise {
        weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?
    } else {
        weights
    };
    weights.to_dtype(logits.dtype())
}

struct Weights(Chosen);

/// Turns a row of logits into probabilities.
#[inline(always)]
fn softmax<N: Number>(logits: &[N], probabilities: &mut [N::Real]) {
    let largest = max(logits);
    for (p, z) in probabilities.iter_mut().zip(logits) {
        *p = (z.wide() - largest).exp();
    }
    let inverse = N::one().wide() / sum(probabilities, |p| p);
    for p in probabilities {
        *p *= inverse;
    }
}

impl Weights {
    /// What the probabilities of the chosen are divided by.
    #[inline(always)]
    fn total<T: Real>(&self, probabilities: &[T], experts: &[u32]) -> T {
        if !self.0.normalise {
            return T::one();
        }
        let mut total = T::zero();
        for &expert in experts {
            total += probabilities[expert as usize];
        }
        total
    }

    fn forward<N: Number>(&self, logits: &[N]) -> CpuStorage {
        let &Chosen { ref experts, num_experts, k, .. } = &self.0;
        let mut weights = vec![N::zero(); experts.len()];
        let mut probabilities = vec![N::zero().wide(); num_experts];
        vectorised(
            #[inline(always)]
            || {
                let rows = logits.chunks_exact(num_experts).zip(experts.chunks_exact(k));
                for (weights, (logits, experts)) in weights.chunks_exact_mut(k).zip(rows) {
                    softmax(logits, &mut probabilities);
                    let total = self.total(&probabilities, experts);
                    for (weight, &expert) in weights.iter_mut().zip(experts) {
                        *weight = N::narrow(probabilities[expert as usize] / total);
                    }
                }
            },
        );
        N::to_cpu_storage_owned(weights)
    }

    /// With `S` the sum that probabilities are divided by, `dp = (g - Σ g w) / S` for the chosen (`g`
    /// without a sum), zero for the others, and `dz = p (dp - Σ p dp)`.
    fn backward<N: Number>(&self, logits: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let &Chosen { ref experts, num_experts, k, normalise } = &self.0;
        let (zs, grads) = (Values::of(logits), Values::of(grad));
        let (zs, grads) = (zs.slice::<N>()?, grads.slice::<N>()?);
        let zero = N::zero().wide();
        let mut out = vec![N::zero(); zs.len()];
        let mut p = vec![zero; num_experts];
        let mut p_grad = vec![zero; num_experts];
        vectorised(
            #[inline(always)]
            || {
                let rows = zs.chunks_exact(num_experts).zip(experts.chunks_exact(k));
                let rows = rows.zip(grads.chunks_exact(k));
                for (out, ((logits, experts), grads)) in out.chunks_exact_mut(num_experts).zip(rows)
                {
                    softmax(logits, &mut p);
                    let total = self.total(&p, experts);
                    let mut along = zero;
                    if normalise {
                        for (&expert, grad) in experts.iter().zip(grads) {
                            along += grad.wide() * p[expert as usize] / total;
                        }
                    }
                    p_grad.fill(zero);
                    for (&expert, grad) in experts.iter().zip(grads) {
                        p_grad[expert as usize] = (grad.wide() - along) / total;
                    }
                    let mean = sum2(&p, &p_grad, |p, grad| p * grad);
                    for ((out, &p), &grad) in out.iter_mut().zip(&p).zip(&p_grad) {
                        *out = N::narrow(p * (grad - mean));
                    }
                }
            },
        );
        Tensor::from_vec(out, logits.shape(), &Device::Cpu)
    }
}

impl CustomOp1 for Weights {
    fn name(&self) -> &'static str {
        "weights of experts"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let weights = for_number!(logits.dtype(), self.name(), N => {
            Ok(self.forward::<N>(contiguous(logits, layout)?))
        })?;
        Ok((weights, Shape::from((layout.dims()[0], self.0.k))))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.detach().contiguous()?;
        for_number!(logits.dtype(), self.name(), N => self.backward::<N>(logits, &grad)).map(Some)
    }
}
