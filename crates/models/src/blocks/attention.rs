//! Causal self-attention with rotary positions and grouped key and value heads.

use std::num::NonZeroUsize;

use autopipe_nn::{Attention, Mask, RmsNorm};
use candle_core::{D, Result, Tensor};

use super::{Declaration, NormShape, Numbers, Pass, Projection, Ranks, Scope};

/// The sizes of a self-attention, and what a family changes of it.
#[derive(Clone, Debug)]
pub(crate) struct AttentionShape {
    pub(crate) hidden_size: usize,
    pub(crate) num_heads: usize,
    pub(crate) num_kv_heads: usize,
    pub(crate) head_dim: usize,
    /// Whether queries, keys and values have biases.
    pub(crate) has_qkv_bias: bool,
    pub(crate) has_o_bias: bool,
    /// Whether queries, keys and values come from one matrix, `qkv_proj`.
    pub(crate) is_fused: bool,
    /// The norm of each head of queries and keys, if there is one.
    pub(crate) head_norm: Option<NormShape>,
    /// What scores are multiplied by.
    pub(crate) scale: f64,
    /// What scores are softly held below.
    pub(crate) softcap: Option<f64>,
    /// How many tokens each sees, itself included; all before it without.
    pub(crate) window: Option<NonZeroUsize>,
    /// Which of the decoder's rotary embeddings it uses.
    pub(crate) rope: usize,
}

#[derive(Debug)]
pub(crate) struct SelfAttention {
    inputs: Inputs,
    o_proj: Projection,
    /// Of queries and of keys.
    norms: Option<[RmsNorm; 2]>,
    attention: Attention,
    /// With the heads that are here.
    shape: AttentionShape,
    ranks: Ranks,
}

#[derive(Debug)]
enum Inputs {
    Apart { q_proj: Projection, k_proj: Projection, v_proj: Projection },
    Fused { qkv_proj: Projection },
}

const FUSED: &str = "qkv_proj";

impl AttentionShape {
    pub(super) fn declare(&self) -> Declaration {
        let &Self { hidden_size, has_qkv_bias, has_o_bias, .. } = self;
        let (q_size, kv_size) = self.widths();
        let input = |widths: &[usize]| {
            let matrix = Declaration::linear(hidden_size, widths.iter().sum(), has_qkv_bias);
            matrix.cut_by_outputs(widths)
        };
        let mut parts = if self.is_fused {
            vec![(FUSED, input(&[q_size, kv_size, kv_size]))]
        } else {
            let (k, v) = (input(&[kv_size]), input(&[kv_size]));
            vec![("q_proj", input(&[q_size])), ("k_proj", k), ("v_proj", v)]
        };
        let output = Declaration::linear(q_size, hidden_size, has_o_bias);
        parts.push(("o_proj", output.cut_by_inputs()));
        if let Some(norm) = self.head_norm {
            let norm = Declaration::norm(self.head_dim, norm).applied_in_parts();
            parts.extend([("q_norm", norm.clone()), ("k_norm", norm)]);
        }
        Declaration::of(parts)
    }

    /// Of all query heads together, and of all key heads.
    fn widths(&self) -> (usize, usize) {
        (self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim)
    }

    /// Operations for a token and one that it attends to: its score, and its part of the sum.
    pub(crate) fn flops_per_pair(&self) -> u64 {
        4 * (self.num_heads * self.head_dim) as u64
    }

    /// How many numbers per token are kept: queries and keys before and after they are turned,
    /// values, and the sums in both of their orders; where there are biases, also without them, and
    /// where heads have norms, also before those, in both orders.
    pub(super) fn kept_per_token(&self) -> Numbers {
        let (q, kv) = self.widths();
        let of_qkv = if self.has_qkv_bias { q + 2 * kv } else { 0 };
        let of_o = if self.has_o_bias { self.hidden_size } else { 0 };
        let of_norms = if self.head_norm.is_some() { 2 * (q + kv) } else { 0 };
        Numbers::cut(4 * q + 3 * kv + of_qkv + of_norms)
            + Numbers::whole(of_o)
            + Numbers::added(2 * self.hidden_size)
    }

    pub(super) fn build(&self, scope: &Scope<'_>) -> Result<SelfAttention> {
        let linear = |name| scope.part(name).linear();
        let inputs = if self.is_fused {
            Inputs::Fused { qkv_proj: linear(FUSED)? }
        } else {
            let (q_proj, k_proj) = (linear("q_proj")?, linear("k_proj")?);
            Inputs::Apart { q_proj, k_proj, v_proj: linear("v_proj")? }
        };
        let norm = |shape| -> Result<[RmsNorm; 2]> {
            Ok([scope.part("q_norm").norm(shape)?, scope.part("k_norm").norm(shape)?])
        };
        let mask = self.window.map_or(Mask::Causal, Mask::SlidingWindow);
        let attention = Attention::new(self.scale, mask);
        Ok(SelfAttention {
            inputs,
            o_proj: linear("o_proj")?,
            norms: self.head_norm.map(norm).transpose()?,
            attention: match self.softcap {
                Some(cap) => attention.with_softcap(cap),
                None => attention,
            },
            shape: self.part(scope.ranks().size()),
            ranks: scope.ranks().clone(),
        })
    }

    /// What one of so many ranks has of it: heads of its own.
    fn part(&self, num_ranks: usize) -> Self {
        let (num_heads, num_kv_heads) = (self.num_heads / num_ranks, self.num_kv_heads / num_ranks);
        Self { num_heads, num_kv_heads, ..self.clone() }
    }
}

impl SelfAttention {
    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let [q, k, v] = self.heads(&self.ranks.enter(x)?, pass)?;
        let [q, k] = match &self.norms {
            Some([of_q, of_k]) => [of_q.forward(&q)?, of_k.forward(&k)?],
            None => [q, k],
        };
        let rotation = &pass.rotations[self.shape.rope];
        let (q, k) = (rotation.apply(&q)?, rotation.apply(&k)?);
        let mixed = match &pass.segments {
            Some(segments) => self.attention.forward_packed(&q, &k, &v, segments)?,
            None => self.attention.forward(&q, &k, &v)?,
        };
        self.o_proj.forward(&mixed.transpose(1, 2)?.flatten_from(2)?, pass)
    }

    /// Queries, keys and values, of shape `[batch, heads, sequence, head_dim]` each.
    fn heads(&self, x: &Tensor, pass: &Pass) -> Result<[Tensor; 3]> {
        let (batch, seq_len, _) = x.dims3()?;
        let heads =
            |x: Tensor| x.reshape((batch, seq_len, (), self.shape.head_dim))?.transpose(1, 2);
        match &self.inputs {
            Inputs::Apart { q_proj, k_proj, v_proj } => Ok([
                heads(q_proj.forward(x, pass)?)?,
                heads(k_proj.forward(x, pass)?)?,
                heads(v_proj.forward(x, pass)?)?,
            ]),
            Inputs::Fused { qkv_proj } => {
                let all = qkv_proj.forward(x, pass)?;
                let (q, kv) = self.shape.widths();
                let part = |start, width| heads(all.narrow(D::Minus1, start, width)?);
                Ok([part(0, q)?, part(q, kv)?, part(q + kv, kv)?])
            }
        }
    }
}
