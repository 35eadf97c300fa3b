//! Qwen3-MoE: Qwen3 with experts in some layers.

use super::qwen2;
use crate::hf::block::Bias;
use crate::hf::blocks::{
    Attention, HeadDefaults, HeadNorm, Heads, Routing, Sparsity, experts, gated_mlp, pre_norm_layer,
};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

const SIZES: Sizes =
    Sizes { hidden_size: 2048, intermediate_size: 6144, num_layers: 24, ..qwen2::SIZES };

pub(super) fn qwen3_moe(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, SIZES);
    let hidden = sizes.hidden_size;
    let heads = HeadDefaults { num: 32, num_kv: Some(4), dim: None };
    let attention = Attention::new(hidden, Heads::read(fields, hidden, heads))
        .with_bias(fields.flag("attention_bias", false))
        .with_norm(HeadNorm::PerHead)
        .block();
    let routing = Routing::read(
        fields,
        &["num_experts", "num_local_experts"],
        Routing { num: 128, active: 8 },
    );
    let expert = gated_mlp(hidden, fields.size("moe_intermediate_size", 768), Bias::None);
    let sparse = experts("gate", hidden, routing, expert);
    let dense = gated_mlp(hidden, sizes.intermediate_size, Bias::None);
    let sparsity = Sparsity::read_every_nth(fields);
    let window = qwen2::asked_for_window(fields);
    sizes.decoder_with(vec![window; sizes.num_layers], |layer| {
        let is_sparse = routing.num > 0 && sparsity.is_sparse(layer);
        let mlp = if is_sparse { &sparse } else { &dense };
        pre_norm_layer(hidden, attention.clone(), mlp.clone())
    })
}
