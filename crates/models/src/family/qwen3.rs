//! Qwen3: Qwen2 with a norm in each head of queries and keys, and biases only if asked for.

use super::Spec;
use super::qwen2::{self, last_layers_windows};
use super::sizes::{Defaults, Sizes};
use crate::blocks::AttentionShape;
use crate::config::Fields;
use crate::decoder::DecoderShape;

pub(super) const SPEC: Spec =
    Spec { model_type: "qwen3", architecture: "Qwen3ForCausalLM", describe };

const DEFAULTS: Defaults = Defaults { head_dim: Some(128), ..qwen2::DEFAULTS };

fn describe(fields: &mut Fields) -> DecoderShape {
    let sizes = Sizes::read(fields, &DEFAULTS);
    let attention = attention(fields, &sizes);
    let windows = last_layers_windows(fields, sizes.num_layers);
    sizes.decoder(fields, |layer| {
        let attention = AttentionShape { window: windows[layer], ..attention.clone() };
        sizes.layer(attention, sizes.mlp())
    })
}

/// Llama's attention with a norm in each head of queries and keys.
pub(super) fn attention(fields: &mut Fields, sizes: &Sizes) -> AttentionShape {
    let bias = fields.flag("attention_bias", false);
    AttentionShape {
        has_qkv_bias: bias,
        has_o_bias: bias,
        head_norm: Some(sizes.norm()),
        ..sizes.attention()
    }
}
