//! Llama: the layout that the others are told by.

use crate::hf::blocks::{Attention, HeadDefaults, Heads, gated_mlp, pre_norm_layer};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

const SIZES: Sizes = Sizes {
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_layers: 32,
    max_positions: 2048,
    is_tied: false,
};

pub(super) fn llama(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, SIZES);
    let hidden = sizes.hidden_size;
    let heads = Heads::read(fields, hidden, HeadDefaults { num: 32, num_kv: None, dim: None });
    let attention =
        Attention::new(hidden, heads).with_bias(fields.flag("attention_bias", false)).block();
    let mlp = gated_mlp(hidden, sizes.intermediate_size, fields.flag("mlp_bias", false).into());
    sizes.decoder(pre_norm_layer(hidden, attention, mlp))
}
