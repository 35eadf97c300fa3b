//! Gemma 2: norms before and behind each block, caps, and a window in every other layer.

use super::sizes::{Defaults, Sizes, local_layers, window};
use super::{Spec, gemma};
use crate::blocks::{AttentionShape, LayerShape, NormPlacement};
use crate::config::{Fields, Min};
use crate::decoder::DecoderShape;

pub(super) const SPEC: Spec =
    Spec { model_type: "gemma2", architecture: "Gemma2ForCausalLM", describe };

pub(super) const DEFAULTS: Defaults = Defaults {
    hidden_size: 2304,
    intermediate_size: 9216,
    num_layers: 26,
    num_heads: 8,
    num_kv_heads: Some(4),
    activation: ("hidden_activation", "gelu_pytorch_tanh"),
    ..gemma::DEFAULTS
};

/// The caps on the scores of the attention and on the logits.
pub(super) struct Caps {
    pub(super) scores: Option<f64>,
    pub(super) logits: Option<f64>,
}

fn describe(fields: &mut Fields) -> DecoderShape {
    let sizes = Sizes::read(fields, &DEFAULTS);
    let caps = Caps::read(fields, &Caps { scores: Some(50.0), logits: Some(30.0) });
    let attention = attention(fields, &sizes, &caps);
    let window = window(fields, Some(4096));
    let local = local_layers(fields, sizes.num_layers, |layer| layer.is_multiple_of(2));
    let decoder = sizes.decoder(fields, |layer| {
        let window = window.filter(|_| local[layer]);
        layer_of(&sizes, AttentionShape { window, ..attention.clone() })
    });
    with_cap(&sizes, &caps, decoder)
}

impl Caps {
    pub(super) fn read(fields: &mut Fields, default: &Self) -> Self {
        let mut cap = |key, default| fields.optional_number(key, default, Min::AboveZero);
        Self {
            scores: cap("attn_logit_softcapping", default.scores),
            logits: cap("final_logit_softcapping", default.logits),
        }
    }
}

/// Gemma's attention with capped scores and a scale of their own.
pub(super) fn attention(fields: &mut Fields, sizes: &Sizes, caps: &Caps) -> AttentionShape {
    let scalar = fields.number("query_pre_attn_scalar", 256.0, Min::AboveZero);
    AttentionShape {
        scale: scalar.sqrt().recip(),
        softcap: caps.scores,
        ..gemma::attention(fields, sizes)
    }
}

/// A layer with four norms.
pub(super) fn layer_of(sizes: &Sizes, attention: AttentionShape) -> LayerShape {
    LayerShape {
        norm: gemma::norm(sizes),
        norms: NormPlacement::Around,
        ..sizes.layer(attention, sizes.mlp())
    }
}

/// The decoder with Gemma's ends and a cap on its logits.
pub(super) fn with_cap(sizes: &Sizes, caps: &Caps, decoder: DecoderShape) -> DecoderShape {
    DecoderShape { logit_softcap: caps.logits, ..gemma::with_own_ends(sizes, decoder) }
}
