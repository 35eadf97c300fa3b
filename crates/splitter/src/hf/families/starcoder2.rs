//! StarCoder2: biases everywhere, norms that shift, and a feed-forward without a gate.

use crate::hf::block::{Bias, Block};
use crate::hf::blocks::{Attention, HeadDefaults, Heads, plain_mlp, windows};
use crate::hf::decoder::{Decoder, Sizes};
use crate::hf::fields::Fields;

const SIZES: Sizes = Sizes {
    vocab_size: 49_152,
    hidden_size: 3072,
    intermediate_size: 12_288,
    num_layers: 30,
    max_positions: 4096,
    is_tied: true,
};

pub(super) fn starcoder2(fields: &Fields<'_>) -> Decoder {
    let sizes = Sizes::read(fields, SIZES);
    let hidden = sizes.hidden_size;
    let bias = Bias::from(fields.flag("use_bias", true));
    let heads = HeadDefaults { num: 24, num_kv: Some(2), dim: None };
    let attention = Attention::new(hidden, Heads::read(fields, hidden, heads));
    let mlp = plain_mlp(["c_fc", "c_proj"], hidden, sizes.intermediate_size, bias);
    // Kept as in a layer with two norms, whose results are as large.
    let layer = Block::of([
        ("self_attn", attention.with_bias(bias).block()),
        ("mlp", mlp),
        ("input_layernorm", Block::layer_norm(hidden)),
        ("post_attention_layernorm", Block::layer_norm(hidden)),
    ])
    .keeping(6 * hidden as u128)
    .adding(4 * hidden as u128);
    let windows = vec![windows(fields, None); sizes.num_layers];
    let decoder = sizes.decoder_with(windows, |_| layer.clone());
    Decoder { norm: Block::layer_norm(hidden), ..decoder }
}
