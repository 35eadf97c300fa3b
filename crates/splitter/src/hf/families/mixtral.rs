//! Mixtral: Mistral with experts, whose matrices have names of their own.

use super::mistral;
use crate::hf::block::{Bias, Block};
use crate::hf::blocks::{Attention, Heads, Routing, experts, layer, windows};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

pub(super) fn mixtral(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, mistral::SIZES);
    let (hidden, inner) = (sizes.hidden_size, sizes.intermediate_size);
    let attention = Attention::new(hidden, Heads::read(fields, hidden, mistral::HEADS)).block();
    let keys = ["num_local_experts", "num_experts"];
    let routing = Routing::read(fields, &keys, Routing { num: 8, active: 2 });
    let expert = Block::of([
        ("w1", Block::linear_with(hidden, inner, Bias::None)),
        ("w2", Block::linear_with(inner, hidden, Bias::None)),
        ("w3", Block::linear_with(hidden, inner, Bias::None)),
        ("act_fn", Block::empty()),
    ])
    .keeping_parts(3 * inner as u128);
    let blocks =
        [("self_attn", attention), ("block_sparse_moe", experts("gate", hidden, routing, expert))];
    let layer = layer(hidden, blocks, ["input_layernorm", "post_attention_layernorm"]);
    sizes.decoder_with(vec![windows(fields, None); sizes.num_layers], |_| layer.clone())
}
