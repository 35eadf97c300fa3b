//! Causal self-attention with rotary positions and grouped key and value heads.

use autopipe_nn::{Attention, Linear, Mask, Rotation};
use candle_core::{Result, Tensor};

use super::{Declaration, Scope};

/// The sizes of a self-attention.
#[derive(Clone, Debug)]
pub(crate) struct AttentionShape {
    pub(crate) hidden_size: usize,
    pub(crate) num_heads: usize,
    pub(crate) num_kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) has_bias: bool,
}

#[derive(Debug)]
pub(super) struct SelfAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    attention: Attention,
    head_dim: usize,
}

impl AttentionShape {
    pub(super) fn declare(&self) -> Declaration {
        let Self { hidden_size, num_heads, num_kv_heads, head_dim, has_bias } = *self;
        let (q_size, kv_size) = (num_heads * head_dim, num_kv_heads * head_dim);
        Declaration::of([
            ("q_proj", Declaration::linear(hidden_size, q_size, has_bias)),
            ("k_proj", Declaration::linear(hidden_size, kv_size, has_bias)),
            ("v_proj", Declaration::linear(hidden_size, kv_size, has_bias)),
            ("o_proj", Declaration::linear(q_size, hidden_size, has_bias)),
        ])
    }
}

impl AttentionShape {
    /// Operations for a token and one that it attends to: its score, and its part of the sum.
    pub(crate) fn flops_per_pair(&self) -> u64 {
        4 * (self.num_heads * self.head_dim) as u64
    }

    /// How many numbers per token are kept: queries and keys before and after they are turned,
    /// values, and the sums in both of their orders; where there are biases, also without them.
    pub(super) fn kept_per_token(&self) -> usize {
        let (q, kv) = (self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim);
        let without_bias = if self.has_bias { q + 2 * kv + self.hidden_size } else { 0 };
        4 * q + 3 * kv + without_bias
    }
}

impl SelfAttention {
    pub(super) fn new(shape: &AttentionShape, scope: &Scope<'_>) -> Result<Self> {
        let head_dim = shape.head_dim;
        Ok(Self {
            q_proj: scope.part("q_proj").linear()?,
            k_proj: scope.part("k_proj").linear()?,
            v_proj: scope.part("v_proj").linear()?,
            o_proj: scope.part("o_proj").linear()?,
            attention: Attention::new((head_dim as f64).sqrt().recip(), Mask::Causal),
            head_dim,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
        let q = rotation.apply(&self.heads(&self.q_proj.forward(x)?)?)?;
        let k = rotation.apply(&self.heads(&self.k_proj.forward(x)?)?)?;
        let v = self.heads(&self.v_proj.forward(x)?)?;
        let mixed = self.attention.forward(&q, &k, &v)?;
        self.o_proj.forward(&mixed.transpose(1, 2)?.flatten_from(2)?)
    }

    /// From `[batch, sequence, heads * head_dim]` to `[batch, heads, sequence, head_dim]`.
    fn heads(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, seq_len, _) = x.dims3()?;
        x.reshape((batch, seq_len, (), self.head_dim))?.transpose(1, 2)
    }
}
