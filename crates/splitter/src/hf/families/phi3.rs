//! Phi-3: one matrix for queries, keys and values, and one for both factors of the feed-forward.

use crate::hf::blocks::{Attention, HeadDefaults, Heads, fused_mlp, pre_norm_layer, windows};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

const SIZES: Sizes = Sizes {
    vocab_size: 32_064,
    hidden_size: 3072,
    intermediate_size: 8192,
    num_layers: 32,
    max_positions: 4096,
    is_tied: false,
};

pub(super) fn phi3(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, SIZES);
    let hidden = sizes.hidden_size;
    let heads = Heads::read(fields, hidden, HeadDefaults { num: 32, num_kv: None, dim: None });
    let attention = Attention::new(hidden, heads).fused_block();
    let layer = pre_norm_layer(hidden, attention, fused_mlp(hidden, sizes.intermediate_size));
    sizes.decoder_with(vec![windows(fields, None); sizes.num_layers], |_| layer.clone())
}
