//! Attention with grouped queries: softmax(q kᵀ · scale) v.

mod composed;
mod fused;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use candle_core::{DType, Result, Tensor};

use crate::Error;
use crate::cpu::has_kernels;
use fused::Fused;

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Those up to its own position; queries and keys are the same positions.
    Causal,
    /// All.
    Full,
}

/// Attention with grouped queries, `softmax(q kᵀ · scale) v`.
///
/// With `P` for the softmax and `G` for the output's gradient, the backward is `dv = Pᵀ G`,
/// `dS = P (G vᵀ - Σ G·out)`, `dq = dS k · scale`, `dk = dSᵀ q · scale`. On the CPU both directions
/// go through blocks of queries and keep no scores: the backward computes them again.
///
/// Papers: [Ainslie et al., 2023](https://arxiv.org/abs/2305.13245) for the groups,
/// [Dao et al., 2022](https://arxiv.org/abs/2205.14135) for the blocks.
///
/// # Examples
/// ```
/// use autopipe_nn::{Attention, Mask};
/// use candle_core::{DType, Device, Tensor};
///
/// let attention = Attention::new(1. / 8f64.sqrt(), Mask::Causal);
/// let q = Tensor::ones((1, 4, 5, 8), DType::F32, &Device::Cpu)?;
/// let k = Tensor::ones((1, 2, 5, 8), DType::F32, &Device::Cpu)?; // two queries share a key
/// assert_eq!(attention.forward(&q, &k, &k)?.dims(), [1, 4, 5, 8]);
/// # candle_core::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Attention {
    scale: f64,
    mask: Mask,
    /// The last mask of the composed form; clones share it.
    cached: Arc<Mutex<Option<Tensor>>>,
}

impl Attention {
    /// An attention with a factor for the scores, usually `1 / sqrt(head_dim)`.
    pub fn new(scale: f64, mask: Mask) -> Self {
        Self { scale, mask, cached: Arc::default() }
    }

    /// Attends from `q`, of shape `[batch, heads, sequence, head_dim]`, to `k` and `v`, of shape
    /// `[batch, kv_heads, keys, head_dim]`; the result has the shape of `q`.
    ///
    /// `heads` is a multiple of `kv_heads`, and each key's head serves the next `heads / kv_heads`
    /// query heads in order. Strides may be any.
    ///
    /// # Errors
    /// If the shapes do not fit, or under [`Mask::Causal`] the numbers of queries and keys differ.
    pub fn forward(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        let (batch, heads, num_queries, head_dim) = q.dims4()?;
        let (kv_batch, kv_heads, num_keys, kv_dim) = k.dims4()?;
        let causal_fits = match self.mask {
            Mask::Causal => num_queries == num_keys,
            Mask::Full => true,
        };
        let grouped = kv_heads > 0 && heads.is_multiple_of(kv_heads);
        if kv_batch != batch || kv_dim != head_dim || !grouped || !causal_fits {
            return Err(Error::InputShape {
                layer: "attention",
                expected: format!(
                    "keys of shape [{batch}, a divisor of {heads}, {}, {head_dim}]",
                    if causal_fits { num_keys } else { num_queries },
                ),
                actual: k.shape().clone(),
            }
            .into());
        }
        if v.shape() != k.shape() {
            return Err(Error::InputShape {
                layer: "attention",
                expected: format!("values of the keys' shape {:?}", k.dims()),
                actual: v.shape().clone(),
            }
            .into());
        }
        if q.elem_count() == 0 {
            return Ok(q.clone());
        }
        if num_keys == 0 {
            return Err(Error::InputShape {
                layer: "attention",
                expected: format!("at least one key for {num_queries} queries"),
                actual: k.shape().clone(),
            }
            .into());
        }
        if has_kernels(q) && has_kernels(k) && has_kernels(v) && q.dtype() != DType::BF16 {
            return q.apply_op3(k, v, Fused { scale: self.scale, mask: self.mask });
        }
        composed::forward(self, q, k, v)
    }
}
