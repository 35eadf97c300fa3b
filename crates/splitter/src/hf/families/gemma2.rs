//! Gemma 2: norms before and behind each block, and a window in every other layer.

use crate::hf::block::{Bias, Block};
use crate::hf::blocks::{
    Attention, HeadDefaults, Heads, alternating, gated_mlp, layer, per_layer, windows,
};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

pub(super) const SIZES: Sizes = Sizes {
    vocab_size: 256_000,
    hidden_size: 2304,
    intermediate_size: 9216,
    num_layers: 26,
    max_positions: 8192,
    is_tied: true,
};

pub(super) const HEADS: HeadDefaults = HeadDefaults { num: 8, num_kv: Some(4), dim: Some(256) };

pub(super) fn gemma2(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, SIZES);
    let hidden = sizes.hidden_size;
    let attention = Attention::new(hidden, Heads::read(fields, hidden, HEADS))
        .with_bias(fields.flag("attention_bias", false));
    let layer = four_norm_layer(sizes, attention);
    let window = windows(fields, Some(4096));
    let windows = per_layer(fields, sizes.num_layers, window, alternating(2));
    sizes.decoder_with(windows, |_| layer.clone())
}

/// An attention and a gated block, each between two norms.
pub(super) fn four_norm_layer(sizes: Sizes, attention: Attention) -> Block {
    let mlp = gated_mlp(sizes.hidden_size, sizes.intermediate_size, Bias::None);
    let norms = [
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
    ];
    layer(sizes.hidden_size, [("self_attn", attention.block()), ("mlp", mlp)], norms)
}
