//! The encoders of Qwen2-VL and Qwen2.5-VL, which end in what other models have as a projector.

use super::image::Patches;
use super::vit::with_attention_costs;
use super::{Encoder, Features};
use crate::hf::block::Block;
use crate::hf::blocks::{gated_mlp, plain_mlp};
use crate::hf::fields::{Fields, MAX_FACTOR, MAX_LAYERS};

/// What is different between the two.
struct Version {
    width: usize,
    out_width: usize,
    norm: fn(usize) -> Block,
    mlp: Block,
}

pub(in crate::hf) fn qwen2_vl_visual(fields: &Fields<'_>) -> Encoder {
    let width = fields.size("embed_dim", 1280);
    let inner = width * fields.range("mlp_ratio", 1, MAX_FACTOR).unwrap_or(4);
    let version = Version {
        width,
        out_width: fields.size("hidden_size", 3584),
        norm: Block::layer_norm,
        mlp: plain_mlp(["fc1", "fc2"], width, inner, true.into()),
    };
    visual(fields, "embed_dim", version)
}

pub(in crate::hf) fn qwen2_5_vl_visual(fields: &Fields<'_>) -> Encoder {
    let width = fields.size("hidden_size", 3584);
    let version = Version {
        width,
        out_width: fields.size("out_hidden_size", 3584),
        norm: Block::rms_norm,
        mlp: gated_mlp(width, fields.size("intermediate_size", 3420), true.into()),
    };
    visual(fields, "hidden_size", version)
}

fn visual(fields: &Fields<'_>, width_key: &'static str, version: Version) -> Encoder {
    let Version { width, out_width, norm, mlp } = version;
    let num_heads = fields.size("num_heads", 16);
    fields.check_multiple((width_key, width), ("num_heads", num_heads), "");
    let num_layers = fields.range("depth", 1, MAX_LAYERS).unwrap_or(32);
    let patches = Patches::of_any_image(fields, 14);
    let frames = fields.range("temporal_patch_size", 1, MAX_FACTOR).unwrap_or(2);
    let merge = fields.range("spatial_merge_size", 1, MAX_FACTOR).unwrap_or(2);

    let attention = Block::of([
        ("qkv", Block::linear_with(width, 3 * width, true.into())),
        ("proj", Block::linear_with(width, width, true.into())),
    ]);
    let layer = Block::of([
        ("norm1", norm(width)),
        ("norm2", norm(width)),
        ("attn", with_attention_costs(attention, width)),
        ("mlp", mlp),
    ])
    .keeping(6 * width as u128)
    .adding(4 * width as u128);
    let patch = [width, patches.num_channels, frames, patches.side, patches.side];
    let proj = Block::empty().product("weight", patch, 1);
    let (num_merged, merged) = (merge * merge, width * merge * merge);
    let merger_mlp = Block::of([
        ("0", Block::linear_with(merged, merged, true.into())),
        ("1", Block::empty()),
        ("2", Block::linear_with(merged, out_width, true.into())),
    ])
    .keeping((2 * merged + out_width) as u128);
    let merger = Block::empty().with("ln_q", norm(width)).with("mlp", merger_mlp);
    let block = Block::of([("patch_embed", Block::of([("proj", proj)]))])
        .with_list("blocks", num_layers, layer)
        .with_merged("merger", num_merged, merger);
    let num_out = (patches.num / num_merged).max(1);
    let out = Features { num_tokens: num_out, width: out_width };
    Encoder { block, num_tokens: patches.num, out }
}
