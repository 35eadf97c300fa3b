//! OLMo 2 and 3: norms behind the blocks only, and one for all queries and all keys of a token.

use crate::hf::block::{Bias, Block};
use crate::hf::blocks::{
    Attention, HeadDefaults, HeadNorm, Heads, alternating, gated_mlp, layer, per_layer, windows,
};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

const SIZES: Sizes = Sizes {
    vocab_size: 50_304,
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_layers: 32,
    max_positions: 2048,
    is_tied: false,
};

pub(super) fn olmo2(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, SIZES);
    sizes.decoder(post_norm_layer(fields, sizes))
}

pub(super) fn olmo3(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, SIZES);
    let layer = post_norm_layer(fields, sizes);
    let window = windows(fields, Some(4096));
    let windows = per_layer(fields, sizes.num_layers, window, alternating(4));
    sizes.decoder_with(windows, |_| layer.clone())
}

fn post_norm_layer(fields: &Fields<'_>, sizes: Sizes) -> Block {
    let hidden = sizes.hidden_size;
    let heads = Heads::read(fields, hidden, HeadDefaults { num: 32, num_kv: None, dim: None });
    let attention = Attention::new(hidden, heads)
        .with_bias(fields.flag("attention_bias", false))
        .with_norm(HeadNorm::Together)
        .block();
    let mlp = gated_mlp(hidden, sizes.intermediate_size, Bias::None);
    let norms = ["post_attention_layernorm", "post_feedforward_layernorm"];
    layer(hidden, [("self_attn", attention), ("mlp", mlp)], norms)
}
