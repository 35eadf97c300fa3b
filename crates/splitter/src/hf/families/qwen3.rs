//! Qwen3: a norm for the queries and keys of each head, and heads of their own width.

use super::qwen2;
use crate::hf::block::Bias;
use crate::hf::blocks::{Attention, HeadDefaults, HeadNorm, Heads, gated_mlp, pre_norm_layer};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

pub(super) fn qwen3(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, qwen2::SIZES);
    let hidden = sizes.hidden_size;
    let heads = HeadDefaults { num: 32, num_kv: Some(32), dim: Some(128) };
    let attention = Attention::new(hidden, Heads::read(fields, hidden, heads))
        .with_bias(fields.flag("attention_bias", false))
        .with_norm(HeadNorm::PerHead)
        .block();
    let mlp = gated_mlp(hidden, sizes.intermediate_size, Bias::None);
    let layer = pre_norm_layer(hidden, attention, mlp);
    let windows = qwen2::last_layers_windows(fields, sizes.num_layers, 28);
    sizes.decoder_with(windows, |_| layer.clone())
}
