//! Self-attention with grouped key and value heads.

use super::Heads;
use crate::hf::block::{Bias, Block};

/// The sizes and switches of a self-attention.
#[derive(Clone, Copy, Debug)]
pub(in crate::hf) struct Attention {
    pub(in crate::hf) hidden_size: usize,
    pub(in crate::hf) heads: Heads,
    pub(in crate::hf) qkv_bias: Bias,
    pub(in crate::hf) out_bias: Bias,
    pub(in crate::hf) norm: HeadNorm,
}

/// What queries and keys are normed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hf) enum HeadNorm {
    /// Nothing.
    None,
    /// Each head for itself, by one scale for all.
    PerHead,
    /// All heads together.
    Together,
}

impl Attention {
    /// The plain one: no biases, no norms.
    pub(in crate::hf) fn new(hidden_size: usize, heads: Heads) -> Self {
        let (qkv_bias, out_bias) = (Bias::None, Bias::None);
        Self { hidden_size, heads, qkv_bias, out_bias, norm: HeadNorm::None }
    }

    /// With a bias behind all four matrices, or none of them.
    pub(in crate::hf) fn with_bias(self, bias: impl Into<Bias>) -> Self {
        let bias = bias.into();
        Self { qkv_bias: bias, out_bias: bias, ..self }
    }

    /// With a bias behind the matrices of queries, keys and values, or none of them.
    pub(in crate::hf) fn with_qkv_bias(self, bias: impl Into<Bias>) -> Self {
        Self { qkv_bias: bias.into(), ..self }
    }

    pub(in crate::hf) fn with_norm(self, norm: HeadNorm) -> Self {
        Self { norm, ..self }
    }

    /// `q_proj`, `k_proj`, `v_proj`, `o_proj`, and the norms behind them.
    pub(in crate::hf) fn block(self) -> Block {
        let Self { hidden_size, heads, qkv_bias, out_bias, norm } = self;
        let (q, kv) = (heads.q_size(), heads.kv_size());
        let block = Block::of([
            ("q_proj", Block::linear_with(hidden_size, q, qkv_bias)),
            ("k_proj", Block::linear_with(hidden_size, kv, qkv_bias)),
            ("v_proj", Block::linear_with(hidden_size, kv, qkv_bias)),
            ("o_proj", Block::linear_with(q, hidden_size, out_bias)),
        ]);
        let normed = match norm {
            HeadNorm::None => return self.with_costs(block),
            HeadNorm::PerHead => [heads.dim, heads.dim],
            HeadNorm::Together => [q, kv],
        };
        let [q_norm, k_norm] = normed.map(Block::rms_norm);
        self.with_costs(block).with("q_norm", q_norm).with("k_norm", k_norm)
    }

    /// `o_proj` and `qkv_proj`, which makes queries, keys and values at once.
    pub(in crate::hf) fn fused_block(self) -> Block {
        let Self { hidden_size, heads, qkv_bias, out_bias, norm: _ } = self;
        let (q, kv) = (heads.q_size(), heads.kv_size());
        self.with_costs(Block::of([
            ("o_proj", Block::linear_with(q, hidden_size, out_bias)),
            ("qkv_proj", Block::linear_with(hidden_size, q + 2 * kv, qkv_bias)),
        ]))
    }

    /// Kept are queries and keys before and after they are turned, values, and the sums in both of
    /// their orders; where there are biases, also without them; where there are norms, also before
    /// those, of heads in both orders.
    fn with_costs(self, block: Block) -> Block {
        let (q, kv) = (self.heads.q_size() as u128, self.heads.kv_size() as u128);
        let without = |bias: Bias, numbers: u128| if bias == Bias::Added { numbers } else { 0 };
        let normed = match self.norm {
            HeadNorm::None => 0,
            HeadNorm::PerHead => 2 * (q + kv),
            HeadNorm::Together => q + kv,
        };
        block
            .keeping_parts(4 * q + 3 * kv + without(self.qkv_bias, q + 2 * kv) + normed)
            .keeping(without(self.out_bias, self.hidden_size as u128))
            .per_pair(4 * q)
    }
}
