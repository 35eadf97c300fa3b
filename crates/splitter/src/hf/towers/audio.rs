//! Qwen2-Audio's encoder of sound, which is Whisper's.

use super::vit::with_attention_costs;
use super::{Encoder, Features};
use crate::hf::block::Block;
use crate::hf::blocks::plain_mlp;
use crate::hf::fields::{Fields, MAX_LAYERS};

/// How many frames each kernel of the convolutions sees.
const KERNEL: usize = 3;

pub(in crate::hf) fn qwen2_audio_encoder(fields: &Fields<'_>) -> Encoder {
    let width = fields.size("d_model", 1280);
    let inner = fields.size("encoder_ffn_dim", 5120);
    let num_layers = fields.range("encoder_layers", 1, MAX_LAYERS).unwrap_or(32);
    let num_heads = fields.size("encoder_attention_heads", 20);
    fields.check_multiple(("d_model", width), ("encoder_attention_heads", num_heads), "");
    let num_mel_bins = fields.size("num_mel_bins", 128);
    let num_tokens = fields.size("max_source_positions", 1500);

    let linear = || Block::linear_with(width, width, true.into());
    let attention = Block::of([
        ("k_proj", Block::linear(width, width)),
        ("v_proj", linear()),
        ("q_proj", linear()),
        ("out_proj", linear()),
    ]);
    // The feed-forward's matrices stand in the layer itself.
    let layer = plain_mlp(["fc1", "fc2"], width, inner, true.into())
        .with("self_attn", with_attention_costs(attention, width))
        .with("self_attn_layer_norm", Block::layer_norm(width))
        .with("final_layer_norm", Block::layer_norm(width))
        .keeping(6 * width as u128)
        .adding(4 * width as u128);
    // The second convolution halves the frames, so that the first sees two for each token.
    let conv = |num_in, times| {
        Block::empty().product("weight", [width, num_in, KERNEL], times).vector("bias", width)
    };
    let positions = Block::empty().constant("weight", [num_tokens, width]);
    let block = Block::of([
        ("conv1", conv(num_mel_bins, 2)),
        ("conv2", conv(width, 1)),
        ("embed_positions", positions),
    ])
    .with_list("layers", num_layers, layer)
    .with("layer_norm", Block::layer_norm(width))
    .with("avg_pooler", Block::empty());
    let out = Features { num_tokens: (num_tokens / 2).max(1), width };
    Encoder { block, num_tokens, out }
}
