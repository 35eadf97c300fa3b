//! gpt-oss: experts in one tensor, with biases; a number per head that scores compete with; a
//! window in every other layer.

use super::qwen2;
use crate::hf::block::{Bias, Block};
use crate::hf::blocks::{
    Attention, HeadDefaults, Heads, Routing, alternating, per_layer, pre_norm_layer, windows,
};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

const SIZES: Sizes = Sizes {
    vocab_size: 201_088,
    hidden_size: 2880,
    intermediate_size: 2880,
    num_layers: 36,
    max_positions: 131_072,
    ..qwen2::SIZES
};

pub(super) fn gpt_oss(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, SIZES);
    let hidden = sizes.hidden_size;
    let heads = HeadDefaults { num: 64, num_kv: Some(8), dim: Some(64) };
    let heads = Heads::read(fields, hidden, heads);
    let attention = Attention::new(hidden, heads)
        .with_bias(fields.flag("attention_bias", true))
        .block()
        .vector("sinks", heads.num);
    let keys = ["num_local_experts", "num_experts"];
    let routing = Routing::read(fields, &keys, Routing { num: 128, active: 4 });
    let mlp = Block::of([
        ("router", Block::linear_with(hidden, routing.num, Bias::Added)),
        ("experts", fused_experts(hidden, sizes.intermediate_size, routing)),
    ])
    .keeping(routing.num as u128);
    let layer = pre_norm_layer(hidden, attention, mlp);
    let window = windows(fields, Some(128));
    let windows = per_layer(fields, sizes.num_layers, window, alternating(2));
    sizes.decoder_with(windows, |_| layer.clone())
}

/// All experts as one tensor per matrix. Each that a token is sent to keeps what a block of its own
/// with biases does.
fn fused_experts(hidden: usize, inner: usize, routing: Routing) -> Block {
    let Routing { num, active } = routing;
    Block::empty()
        .expert_product("gate_up_proj", [num, hidden, 2 * inner], active)
        .tensor("gate_up_proj_bias", [num, 2 * inner], 0)
        .expert_product("down_proj", [num, inner, hidden], active)
        .tensor("down_proj_bias", [num, hidden], 0)
        .keeping_parts((active * 5 * inner) as u128)
        .keeping((active * hidden) as u128)
}
