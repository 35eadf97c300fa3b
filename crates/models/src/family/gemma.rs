//! Gemma: Llama with wide heads, a scaled embedding that is the head as well, and norms around one.

use super::Spec;
use super::sizes::{Defaults, Sizes};
use crate::blocks::{AttentionShape, LayerShape, NormShape};
use crate::config::Fields;
use crate::decoder::DecoderShape;

pub(super) const SPEC: Spec =
    Spec { model_type: "gemma", architecture: "GemmaForCausalLM", describe };

pub(super) const DEFAULTS: Defaults = Defaults {
    vocab_size: 256_000,
    hidden_size: 3072,
    intermediate_size: 24_576,
    num_layers: 28,
    num_heads: 16,
    num_kv_heads: Some(16),
    head_dim: Some(256),
    max_positions: 8192,
    is_tied: true,
    pad_token_id: Some(0),
    activation: ("hidden_act", "gelu_pytorch_tanh"),
    ..Defaults::LLAMA
};

fn describe(fields: &mut Fields) -> DecoderShape {
    one_activation(fields);
    let sizes = Sizes::read(fields, &DEFAULTS);
    let attention = attention(fields, &sizes);
    let decoder = sizes.decoder(fields, |_| LayerShape {
        norm: norm(&sizes),
        ..sizes.layer(attention.clone(), sizes.mlp())
    });
    with_own_ends(&sizes, decoder)
}

/// Puts `hidden_activation`, which it was called for a while, under its name of now. transformers 4
/// computes what the one says and 5 the other, so that they have to agree.
fn one_activation(fields: &mut Fields) {
    let (now, then) = ("hidden_act", "hidden_activation");
    let given = [now, then].map(|key| fields.take_optional(key));
    if let [Some(a), Some(b)] = &given
        && a != b
    {
        fields.disagree((now.to_owned(), a), (then.to_owned(), b));
    }
    fields.unset(then);
    if let Some(value) = given.into_iter().flatten().next() {
        fields.put(now, value);
    }
}

/// The attention of all Gemmas: with biases in all its matrices or in none.
pub(super) fn attention(fields: &mut Fields, sizes: &Sizes) -> AttentionShape {
    let looks_back = |value: &serde_json::Value| value.as_bool() == Some(false);
    fields.refuse_unless("use_bidirectional_attention", looks_back, "false or null");
    let bias = fields.flag("attention_bias", false);
    AttentionShape { has_qkv_bias: bias, has_o_bias: bias, ..sizes.attention() }
}

/// The norm of all Gemmas, whose weights are told by their distance from one.
pub(super) fn norm(sizes: &Sizes) -> NormShape {
    NormShape { has_unit_offset: true, ..sizes.norm() }
}

/// The decoder with Gemma's embedding, which is multiplied by the root of its width, and last norm.
pub(super) fn with_own_ends(sizes: &Sizes, decoder: DecoderShape) -> DecoderShape {
    let embedding_scale = Some((sizes.hidden_size as f64).sqrt());
    DecoderShape { embedding_scale, norm: norm(sizes), ..decoder }
}
