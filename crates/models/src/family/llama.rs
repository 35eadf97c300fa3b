//! Llama: the layout that the others are told by.

use super::Spec;
use super::sizes::{Defaults, Sizes};
use crate::blocks::{AttentionShape, MlpShape};
use crate::config::Fields;
use crate::decoder::DecoderShape;

pub(super) const SPEC: Spec =
    Spec { model_type: "llama", architecture: "LlamaForCausalLM", describe };

fn describe(fields: &mut Fields) -> DecoderShape {
    let sizes = Sizes::read(fields, &Defaults::LLAMA);
    fields.refuse_unless("pretraining_tp", |value| value.as_f64() == Some(1.0), "1");
    let bias = fields.flag("attention_bias", false);
    let attention = AttentionShape { has_qkv_bias: bias, has_o_bias: bias, ..sizes.attention() };
    let mlp = MlpShape { has_bias: fields.flag("mlp_bias", false), ..sizes.mlp() };
    sizes.decoder(fields, |_| sizes.layer(attention.clone(), mlp.clone()))
}
