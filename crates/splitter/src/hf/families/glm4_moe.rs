//! GLM-4.5: grouped attention, dense layers first, then experts beside a shared one.

use super::glm4;
use crate::hf::block::Bias;
use crate::hf::blocks::{
    Attention, HeadDefaults, HeadNorm, Heads, Routing, Sparsity, corrected_router, experts_behind,
    gated_mlp, pre_norm_layer, with_shared_experts,
};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

const SIZES: Sizes = Sizes { intermediate_size: 10_944, num_layers: 46, ..glm4::SIZES };

pub(super) fn glm4_moe(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, SIZES);
    let hidden = sizes.hidden_size;
    let heads = HeadDefaults { num: 96, num_kv: Some(8), dim: None };
    let has_norm = fields.flag("use_qk_norm", false);
    let attention = Attention::new(hidden, Heads::read(fields, hidden, heads))
        .with_qkv_bias(fields.flag("attention_bias", false))
        .with_norm(if has_norm { HeadNorm::PerHead } else { HeadNorm::None })
        .block();
    let routing = Routing::read(
        fields,
        &["n_routed_experts", "num_local_experts"],
        Routing { num: 128, active: 8 },
    );
    let inner = fields.size("moe_intermediate_size", 1408);
    let num_shared = fields.any_count(&["n_shared_experts"], 1).1;
    let expert = gated_mlp(hidden, inner, Bias::None);
    let sparse =
        experts_behind(("gate", corrected_router(hidden, routing)), hidden, routing, expert);
    let sparse = with_shared_experts(sparse, hidden, inner, num_shared);
    let dense = gated_mlp(hidden, sizes.intermediate_size, Bias::None);
    let sparsity = Sparsity::read_from(fields, 1);
    let decoder = sizes.decoder_with(vec![None; sizes.num_layers], |layer| {
        let is_sparse = routing.num > 0 && sparsity.is_sparse(layer);
        let mlp = if is_sparse { &sparse } else { &dense };
        pre_norm_layer(hidden, attention.clone(), mlp.clone())
    });
    let num_mtp_layers = fields.any_count(&["num_nextn_predict_layers", "num_mtp_layers"], 0).1;
    Decoder { num_mtp_layers, ..decoder }
}
