//! The blocks of vision transformers.

use crate::hf::block::Block;
use crate::hf::blocks::plain_mlp;
use crate::hf::fields::{Fields, MAX_LAYERS};

/// The sizes of a vision transformer, as most configs name them.
#[derive(Clone, Copy, Debug)]
pub(super) struct VitSizes {
    pub(super) width: usize,
    pub(super) inner: usize,
    pub(super) num_layers: usize,
    pub(super) num_heads: usize,
}

impl VitSizes {
    pub(super) fn read(fields: &Fields<'_>, default: Self) -> Self {
        let sizes = Self {
            width: fields.size("hidden_size", default.width),
            inner: fields.size("intermediate_size", default.inner),
            num_layers: fields
                .range("num_hidden_layers", 1, MAX_LAYERS)
                .unwrap_or(default.num_layers),
            num_heads: fields.size("num_attention_heads", default.num_heads),
        };
        let heads = ("num_attention_heads", sizes.num_heads);
        fields.check_multiple(("hidden_size", sizes.width), heads, "");
        sizes
    }

    /// The layer of CLIP and SigLIP.
    pub(super) fn layer(self) -> Block {
        let Self { width, inner, .. } = self;
        let linear = || Block::linear_with(width, width, true.into());
        let attention = Block::of([
            ("k_proj", linear()),
            ("v_proj", linear()),
            ("q_proj", linear()),
            ("out_proj", linear()),
        ]);
        Block::of([
            ("self_attn", with_attention_costs(attention, width)),
            ("layer_norm1", Block::layer_norm(width)),
            ("mlp", plain_mlp(["fc1", "fc2"], width, inner, true.into())),
            ("layer_norm2", Block::layer_norm(width)),
        ])
        .keeping(6 * width as u128)
        .adding(4 * width as u128)
    }
}

/// What an attention of this width keeps and takes, as that of a decoder; every token attends to
/// every other.
pub(super) fn with_attention_costs(block: Block, width: usize) -> Block {
    block.keeping_parts(7 * width as u128).per_pair(4 * width as u128)
}
