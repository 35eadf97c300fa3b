//! Mistral: Llama without biases, and with one window in all layers.

use crate::hf::block::Bias;
use crate::hf::blocks::{Attention, HeadDefaults, Heads, gated_mlp, pre_norm_layer, windows};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

pub(super) const SIZES: Sizes = Sizes {
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 14_336,
    num_layers: 32,
    max_positions: 131_072,
    is_tied: false,
};

pub(super) const HEADS: HeadDefaults = HeadDefaults { num: 32, num_kv: Some(8), dim: None };

pub(super) fn mistral(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, SIZES);
    let hidden = sizes.hidden_size;
    let attention = Attention::new(hidden, Heads::read(fields, hidden, HEADS)).block();
    let mlp = gated_mlp(hidden, sizes.intermediate_size, Bias::None);
    let window = windows(fields, Some(4096));
    let layer = pre_norm_layer(hidden, attention, mlp);
    sizes.decoder_with(vec![window; sizes.num_layers], |_| layer.clone())
}
