//! Gemma: Llama with wide heads, and the embedding for an output head.

use crate::hf::block::Bias;
use crate::hf::blocks::{Attention, HeadDefaults, Heads, gated_mlp, pre_norm_layer};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

const SIZES: Sizes = Sizes {
    vocab_size: 256_000,
    hidden_size: 3072,
    intermediate_size: 24_576,
    num_layers: 28,
    max_positions: 8192,
    is_tied: true,
};

pub(super) fn gemma(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, SIZES);
    let hidden = sizes.hidden_size;
    let heads = HeadDefaults { num: 16, num_kv: Some(16), dim: Some(256) };
    let attention = Attention::new(hidden, Heads::read(fields, hidden, heads))
        .with_bias(fields.flag("attention_bias", false))
        .block();
    let mlp = gated_mlp(hidden, sizes.intermediate_size, Bias::None);
    sizes.decoder(pre_norm_layer(hidden, attention, mlp))
}
