//! GLM-4 (0414): norms before and behind each block, few key and value heads.

use crate::hf::blocks::{Attention, HeadDefaults, Heads, fused_mlp, layer};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

pub(super) const SIZES: Sizes = Sizes {
    vocab_size: 151_552,
    hidden_size: 4096,
    intermediate_size: 13_696,
    num_layers: 40,
    max_positions: 131_072,
    is_tied: false,
};

pub(super) fn glm4(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, SIZES);
    let hidden = sizes.hidden_size;
    let heads = HeadDefaults { num: 32, num_kv: Some(2), dim: Some(128) };
    let attention = Attention::new(hidden, Heads::read(fields, hidden, heads))
        .with_qkv_bias(fields.flag("attention_bias", true))
        .block();
    let mlp = fused_mlp(hidden, sizes.intermediate_size);
    let norms = [
        "input_layernorm",
        "post_attention_layernorm",
        "post_self_attn_layernorm",
        "post_mlp_layernorm",
    ];
    sizes.decoder(layer(hidden, [("self_attn", attention), ("mlp", mlp)], norms))
}
