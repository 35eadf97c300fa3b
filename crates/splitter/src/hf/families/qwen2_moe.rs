//! Qwen2-MoE: Qwen2 with experts in some layers, and beside them one that every token is sent to,
//! behind a gate of its own.

use super::qwen2;
use crate::hf::block::{Bias, Block};
use crate::hf::blocks::{
    Attention, HeadDefaults, Heads, Routing, Sparsity, experts, gated_mlp, per_layer,
    pre_norm_layer,
};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

const SIZES: Sizes =
    Sizes { hidden_size: 2048, intermediate_size: 5632, num_layers: 24, ..qwen2::SIZES };

pub(super) fn qwen2_moe(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, SIZES);
    let hidden = sizes.hidden_size;
    let heads = HeadDefaults { num: 16, num_kv: Some(16), dim: None };
    let attention = Attention::new(hidden, Heads::read(fields, hidden, heads))
        .with_qkv_bias(fields.flag("qkv_bias", true))
        .block();
    let routing = Routing::read(
        fields,
        &["num_experts", "num_local_experts"],
        Routing { num: 60, active: 4 },
    );
    let expert = gated_mlp(hidden, fields.size("moe_intermediate_size", 1408), Bias::None);
    let shared = fields.size("shared_expert_intermediate_size", 5632);
    let sparse = experts("gate", hidden, routing, expert)
        .with("shared_expert", gated_mlp(hidden, shared, Bias::None))
        .with("shared_expert_gate", Block::linear(hidden, 1));
    let dense = gated_mlp(hidden, sizes.intermediate_size, Bias::None);
    let sparsity = Sparsity::read_every_nth(fields);
    let first_full = fields.any_count(&["max_window_layers"], 28).1;
    let window = qwen2::asked_for_window(fields);
    let windows = per_layer(fields, sizes.num_layers, window, |layer| {
        layer.is_multiple_of(2) && layer < first_full
    });
    sizes.decoder_with(windows, |layer| {
        let is_sparse = routing.num > 0 && sparsity.is_sparse(layer);
        let mlp = if is_sparse { &sparse } else { &dense };
        pre_norm_layer(hidden, attention.clone(), mlp.clone())
    })
}
