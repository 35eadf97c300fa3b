//! Mistral: Llama without biases, and with one window in all layers.

use super::Spec;
use super::sizes::{Defaults, Sizes, window};
use crate::blocks::AttentionShape;
use crate::config::Fields;
use crate::decoder::DecoderShape;

pub(super) const SPEC: Spec =
    Spec { model_type: "mistral", architecture: "MistralForCausalLM", describe };

const DEFAULTS: Defaults = Defaults {
    intermediate_size: 14_336,
    num_kv_heads: Some(8),
    max_positions: 4096 * 32,
    ..Defaults::LLAMA
};

fn describe(fields: &mut Fields) -> DecoderShape {
    let sizes = Sizes::read(fields, &DEFAULTS);
    let attention = AttentionShape { window: window(fields, Some(4096)), ..sizes.attention() };
    sizes.decoder(fields, |_| sizes.layer(attention.clone(), sizes.mlp()))
}
