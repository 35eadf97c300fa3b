//! DeepSeek-V2 and V3, and Kimi K2: latent attention, dense layers first, then experts beside
//! shared ones.

use crate::hf::block::Bias;
use crate::hf::blocks::{
    LatentAttention, LatentDefaults, Routing, Sparsity, corrected_router, experts, experts_behind,
    gated_mlp, pre_norm_layer, with_shared_experts,
};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

/// What is different between the versions.
struct Version {
    sizes: Sizes,
    latent: LatentDefaults,
    routing: Routing,
    moe_intermediate_size: usize,
    num_shared_experts: usize,
    num_dense_layers: usize,
    balance: Balance,
}

/// What makes the router use all experts.
enum Balance {
    /// A part of the loss.
    ByLoss,
    /// A correction of its scores, which is kept beside its matrix.
    ByCorrection,
}

const V2: Version = Version {
    sizes: Sizes {
        vocab_size: 102_400,
        hidden_size: 4096,
        intermediate_size: 11_008,
        num_layers: 32,
        max_positions: 2048,
        is_tied: false,
    },
    latent: LatentDefaults { num_heads: 32, q_rank: 1536 },
    routing: Routing { num: 64, active: 1 },
    moe_intermediate_size: 1407,
    num_shared_experts: 2,
    num_dense_layers: 0,
    balance: Balance::ByLoss,
};

const V3: Version = Version {
    sizes: Sizes {
        vocab_size: 129_280,
        hidden_size: 7168,
        intermediate_size: 18_432,
        num_layers: 61,
        max_positions: 4096,
        is_tied: false,
    },
    latent: LatentDefaults { num_heads: 128, q_rank: 1536 },
    routing: Routing { num: 256, active: 8 },
    moe_intermediate_size: 2048,
    num_shared_experts: 1,
    num_dense_layers: 3,
    balance: Balance::ByCorrection,
};

pub(super) fn deepseek_v2(fields: &Fields<'_>) -> Decoder {
    decoder(fields, V2)
}

pub(super) fn deepseek_v3(fields: &Fields<'_>) -> Decoder {
    decoder(fields, V3)
}

fn decoder(fields: &Fields<'_>, default: Version) -> Decoder {
    let sizes = Sizes::read(fields, default.sizes);
    let hidden = sizes.hidden_size;
    let attention = LatentAttention::read(fields, hidden, default.latent).block();
    let keys = ["n_routed_experts", "num_local_experts", "num_experts"];
    let routing = Routing::read(fields, &keys, default.routing);
    let inner = fields.size("moe_intermediate_size", default.moe_intermediate_size);
    let num_shared = fields.any_count(&["n_shared_experts"], default.num_shared_experts).1;
    let expert = gated_mlp(hidden, inner, Bias::None);
    let sparse = match default.balance {
        Balance::ByLoss => experts("gate", hidden, routing, expert),
        Balance::ByCorrection => {
            experts_behind(("gate", corrected_router(hidden, routing)), hidden, routing, expert)
        }
    };
    let sparse = with_shared_experts(sparse, hidden, inner, num_shared);
    let dense = gated_mlp(hidden, sizes.intermediate_size, Bias::None);
    let sparsity = Sparsity::read_from(fields, default.num_dense_layers);
    let decoder = sizes.decoder_with(vec![None; sizes.num_layers], |layer| {
        let is_sparse = routing.num > 0 && sparsity.is_sparse(layer);
        let mlp = if is_sparse { &sparse } else { &dense };
        pre_norm_layer(hidden, attention.clone(), mlp.clone())
    });
    let num_mtp_layers = fields.any_count(&["num_nextn_predict_layers", "num_mtp_layers"], 0).1;
    Decoder { num_mtp_layers, ..decoder }
}
