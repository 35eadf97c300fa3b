//! Mixtral: Mistral with experts in all layers, which have names of their own.

use super::Spec;
use super::sizes::{Defaults, Sizes, window};
use super::sparse::{Counts, experts};
use crate::blocks::{AttentionShape, ExpertsShape, MlpShape};
use crate::config::Fields;
use crate::decoder::DecoderShape;

pub(super) const SPEC: Spec =
    Spec { model_type: "mixtral", architecture: "MixtralForCausalLM", describe };

const DEFAULTS: Defaults = Defaults {
    intermediate_size: 14_336,
    num_kv_heads: Some(8),
    max_positions: 4096 * 32,
    eps: 1e-5,
    theta: 1e6,
    ..Defaults::LLAMA
};

fn describe(fields: &mut Fields) -> DecoderShape {
    let sizes = Sizes::read(fields, &DEFAULTS);
    let is_silent = |value: &serde_json::Value| value.as_f64() == Some(0.0);
    fields.refuse_unless("router_jitter_noise", is_silent, "0.0");
    let attention = AttentionShape { window: window(fields, None), ..sizes.attention() };
    let expert = MlpShape { names: ["w1", "w3", "w2"], ..sizes.mlp() };
    let sparse = ExpertsShape {
        block_name: "block_sparse_moe",
        ..experts(fields, &sizes, &["num_local_experts"], Counts { num: 8, per_token: 2 }, expert)
    };
    sizes.decoder(fields, |_| sizes.layer(attention.clone(), sparse.clone()))
}
