//! Attention with grouped queries: softmax(q kᵀ · scale) v, the scores perhaps capped.

mod by_rows;
#[cfg(test)]
mod composed;
mod fused;
mod masks;
mod segments;
mod visible;

#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;

use candle_core::{Result, Tensor};

use crate::Error;
use crate::cpu::has_kernels;
use fused::Fused;
use masks::Masks;
pub use segments::Segments;
use visible::Visible;

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Those up to its own position; queries and keys are the same positions.
    Causal,
    /// The last so many up to its own position, that one counted: the query at `i` sees the key at
    /// `j` if `i - window < j <= i`, as in Mistral's and Qwen's models.
    SlidingWindow(NonZeroUsize),
    /// All.
    Full,
}

/// Attention with grouped queries, `softmax(q kᵀ · scale) v`.
///
/// With `P` for the softmax and `G` for the output's gradient, the backward is `dv = Pᵀ G`,
/// `dS = P (G vᵀ - Σ G·out)`, `dq = dS k · scale`, `dk = dSᵀ q · scale`. On the CPU both directions
/// go through blocks of queries and keys, pass over those that nobody sees, and keep no scores: the
/// backward computes them again from the logarithm of each row's sum of exponentials. Elsewhere they
/// go through blocks of rows, and on a GPU the softmax of a block is one kernel in either direction.
/// [`Self::with_softcap`] bounds the scores.
///
/// Papers: [Ainslie et al., 2023](https://arxiv.org/abs/2305.13245) for the groups,
/// [Dao, 2023](https://arxiv.org/abs/2307.08691) for the blocks,
/// [Jiang et al., 2023](https://arxiv.org/abs/2310.06825) for the sliding window.
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
    softcap: Option<f64>,
    /// What the last call without the CPU's kernels saw.
    masks: Masks,
}

impl Attention {
    /// An attention with a factor for the scores, usually `1 / sqrt(head_dim)`.
    pub fn new(scale: f64, mask: Mask) -> Self {
        Self { scale, mask, softcap: None, masks: Masks::default() }
    }

    /// Lets no score leave `-cap..cap`: each becomes `cap · tanh(score / cap)` before the mask, as in
    /// Gemma 2. With `t` for that tangent, its gradient is multiplied by `1 - t²`.
    ///
    /// A cap that is not a positive number is refused by the forwards.
    ///
    /// Paper: [Gemma Team, 2024](https://arxiv.org/abs/2408.00118).
    #[must_use]
    pub fn with_softcap(self, cap: f64) -> Self {
        Self { softcap: Some(cap), ..self }
    }

    /// Attends from `q`, of shape `[batch, heads, sequence, head_dim]`, to `k` and `v`, of shape
    /// `[batch, kv_heads, keys, head_dim]`; the result has the shape of `q`.
    ///
    /// `heads` is a multiple of `kv_heads`, and each key's head serves the next `heads / kv_heads`
    /// query heads in order. Strides may be any.
    ///
    /// # Errors
    /// If the shapes do not fit, or under any mask but [`Mask::Full`] the numbers of queries and
    /// keys differ; or the softcap is not positive.
    pub fn forward(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        self.attend([q, k, v], None)
    }

    /// As [`Self::forward`] for packed sequences: a query sees, of the keys that the mask shows it,
    /// those in its own document. The result is that of one call for each document.
    ///
    /// # Errors
    /// As [`Self::forward`], and if `segments` are those of another batch or length.
    pub fn forward_packed(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        segments: &Segments,
    ) -> Result<Tensor> {
        let (batch, _, num_queries, _) = q.dims4()?;
        let (num_sequences, len) = (segments.num_sequences(), segments.sequence_len());
        if (batch, num_queries) != (num_sequences, len) {
            return Err(Error::InputShape {
                layer: "attention",
                expected: format!(
                    "queries [{num_sequences}, heads, {len}, ..] with these segments"
                ),
                actual: q.shape().clone(),
            }
            .into());
        }
        self.attend([q, k, v], Some(segments))
    }

    fn attend(&self, [q, k, v]: [&Tensor; 3], segments: Option<&Segments>) -> Result<Tensor> {
        let (batch, heads, num_queries, head_dim) = q.dims4()?;
        let (kv_batch, kv_heads, num_keys, kv_dim) = k.dims4()?;
        let one_each = match self.mask {
            Mask::Causal | Mask::SlidingWindow(_) => true,
            Mask::Full => segments.is_some(),
        };
        let num_fits = !one_each || num_queries == num_keys;
        let grouped = kv_heads > 0 && heads.is_multiple_of(kv_heads);
        if kv_batch != batch || kv_dim != head_dim || !grouped || !num_fits {
            return Err(Error::InputShape {
                layer: "attention",
                expected: format!(
                    "keys of shape [{batch}, a divisor of {heads}, {}, {head_dim}]",
                    if num_fits { num_keys } else { num_queries },
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
        if let Some(cap) = self.softcap.filter(|cap| !(cap.is_finite() && *cap > 0.)) {
            return Err(
                Error::Setting { what: "softcap", expected: "positive", actual: cap }.into()
            );
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
        if has_kernels(q) && has_kernels(k) && has_kernels(v) {
            let visible = Visible { mask: self.mask, num_keys, segments: segments.cloned() };
            return q.apply_op3(k, v, Fused::new(self, visible));
        }
        by_rows::forward(self, [q, k, v], segments)
    }
}
