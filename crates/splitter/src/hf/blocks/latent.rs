//! Multi-head latent attention: queries, and keys with values, are made from short vectors.

use crate::hf::block::{Bias, Block};
use crate::hf::fields::Fields;

/// The sizes of a latent attention.
#[derive(Clone, Copy, Debug)]
pub(in crate::hf) struct LatentAttention {
    hidden_size: usize,
    num_heads: usize,
    /// The width of what queries are made from; none if they are made from the hidden states.
    q_rank: Option<usize>,
    kv_rank: usize,
    /// What of a head's queries and keys is not turned, and what is.
    nope_dim: usize,
    rope_dim: usize,
    v_dim: usize,
    bias: Bias,
}

/// What a family takes where its config says nothing.
#[derive(Clone, Copy, Debug)]
pub(in crate::hf) struct LatentDefaults {
    pub(in crate::hf) num_heads: usize,
    pub(in crate::hf) q_rank: usize,
}

impl LatentAttention {
    pub(in crate::hf) fn read(
        fields: &Fields<'_>,
        hidden_size: usize,
        default: LatentDefaults,
    ) -> Self {
        let q_rank = fields.optional_size("q_lora_rank");
        let q_rank = q_rank.or((!fields.is_null("q_lora_rank")).then_some(default.q_rank));
        Self {
            hidden_size,
            num_heads: fields.size("num_attention_heads", default.num_heads),
            q_rank,
            kv_rank: fields.size("kv_lora_rank", 512),
            nope_dim: fields.size("qk_nope_head_dim", 128),
            rope_dim: fields.size("qk_rope_head_dim", 64),
            v_dim: fields.size("v_head_dim", 128),
            bias: fields.flag("attention_bias", false).into(),
        }
    }

    pub(in crate::hf) fn block(self) -> Block {
        let Self { hidden_size, num_heads, q_rank, kv_rank, nope_dim, rope_dim, v_dim, bias } =
            self;
        let q_size = num_heads * (nope_dim + rope_dim);
        let queries = match q_rank {
            None => Block::of([("q_proj", Block::linear(hidden_size, q_size))]),
            Some(rank) => Block::of([
                ("q_a_proj", Block::linear_with(hidden_size, rank, bias)),
                ("q_a_layernorm", Block::rms_norm(rank)),
                ("q_b_proj", Block::linear(rank, q_size)),
            ]),
        };
        let both = num_heads * (nope_dim + v_dim);
        let block = queries
            .with("kv_a_proj_with_mqa", Block::linear_with(hidden_size, kv_rank + rope_dim, bias))
            .with("kv_a_layernorm", Block::rms_norm(kv_rank))
            .with("kv_b_proj", Block::linear(kv_rank, both))
            .with("o_proj", Block::linear_with(num_heads * v_dim, hidden_size, bias));
        self.with_costs(block)
    }

    /// Kept as in an attention without latents, with as many keys as queries; and the short vectors
    /// before and after their norms.
    fn with_costs(self, block: Block) -> Block {
        let (qk_dim, v_dim) = ((self.nope_dim + self.rope_dim) as u128, self.v_dim as u128);
        let num_heads = self.num_heads as u128;
        let ranks = (self.q_rank.unwrap_or(0) + self.kv_rank) as u128;
        let heads = num_heads * (4 * qk_dim + 3 * v_dim);
        block
            .keeping_parts(heads)
            .keeping(2 * ranks + self.rope_dim as u128)
            .per_pair(2 * num_heads * (qk_dim + v_dim))
    }
}
