//! Qwen3-MoE: Qwen3 with experts in some layers.

use super::sizes::{Defaults, Sizes};
use super::sparse::{Counts, experts};
use super::{Spec, qwen2, qwen3};
use crate::blocks::{AttentionShape, ExpertsShape, FeedForward, MlpShape};
use crate::config::{Fields, as_size};
use crate::decoder::DecoderShape;

pub(super) const SPEC: Spec =
    Spec { model_type: "qwen3_moe", architecture: "Qwen3MoeForCausalLM", describe };

const DEFAULTS: Defaults = Defaults {
    hidden_size: 2048,
    intermediate_size: 6144,
    num_layers: 24,
    num_kv_heads: Some(4),
    ..qwen2::DEFAULTS
};

fn describe(fields: &mut Fields) -> DecoderShape {
    let sizes = Sizes::read(fields, &DEFAULTS);
    let attention = AttentionShape {
        window: qwen2::asked_for_window(fields),
        ..qwen3::attention(fields, &sizes)
    };
    let intermediate_size = fields.size("moe_intermediate_size", 768);
    let expert = MlpShape { intermediate_size, ..sizes.mlp() };
    let names = ["num_experts", "num_local_experts"];
    let counts = Counts { num: 128, per_token: 8 };
    let sparse = ExpertsShape {
        is_normalised: fields.flag("norm_topk_prob", false),
        ..experts(fields, &sizes, &names, counts, expert)
    };
    let step = fields.size("decoder_sparse_step", 1);
    let dense = fields.list("mlp_only_layers", as_size, "a list of layers' numbers");
    let dense = dense.unwrap_or_default();
    fields.set("mlp_only_layers", dense.clone());
    sizes.decoder(fields, |layer| {
        let is_sparse = !dense.contains(&layer) && (layer + 1).is_multiple_of(step);
        let feed_forward: FeedForward =
            if is_sparse { sparse.clone().into() } else { sizes.mlp().into() };
        sizes.layer(attention.clone(), feed_forward)
    })
}
