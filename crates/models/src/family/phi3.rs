//! Phi-3: one matrix for queries, keys and values, and one for both factors of the feed-forward.

use super::Spec;
use super::sizes::{Defaults, Sizes, window};
use crate::blocks::{AttentionShape, MlpShape};
use crate::config::Fields;
use crate::decoder::DecoderShape;
use crate::rope;

pub(super) const SPEC: Spec =
    Spec { model_type: "phi3", architecture: "Phi3ForCausalLM", describe };

const DEFAULTS: Defaults = Defaults {
    vocab_size: 32_064,
    hidden_size: 3072,
    intermediate_size: 8192,
    max_positions: 4096,
    eps: 1e-5,
    pad_token_id: Some(32_000),
    ..Defaults::LLAMA
};

fn describe(fields: &mut Fields) -> DecoderShape {
    let sizes = Sizes::read(fields, &DEFAULTS);
    for dropout in ["resid_pdrop", "embd_pdrop"] {
        fields.refuse_unless(dropout, |value| value.as_f64() == Some(0.0), "0.0");
    }
    let attention =
        AttentionShape { is_fused: true, window: window(fields, None), ..sizes.attention() };
    let mlp = MlpShape { is_fused: true, ..sizes.mlp() };
    let context = rope::Context { dialect: rope::Dialect::Phi3, ..sizes.rope_context() };
    let rope = rope::read(fields, context);
    sizes.decoder_with(vec![rope], |_| sizes.layer(attention.clone(), mlp.clone()))
}
