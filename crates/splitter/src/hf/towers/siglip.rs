//! SigLIP's encoder of images, and that of Idefics 3, which is one without a head.

use super::image::Patches;
use super::vit::VitSizes;
use super::{Encoder, Features};
use crate::hf::block::Block;
use crate::hf::blocks::plain_mlp;
use crate::hf::fields::Fields;

const SIZES: VitSizes = VitSizes { width: 768, inner: 3072, num_layers: 12, num_heads: 12 };

pub(super) fn siglip(fields: &Fields<'_>) -> Encoder {
    let sizes = VitSizes::read(fields, SIZES);
    let encoder = encoder(sizes, Patches::read(fields, 224, 16));
    if !fields.flag("vision_use_head", true) {
        return encoder;
    }
    // It takes all tokens of an image as one.
    let num_tokens = encoder.num_tokens;
    let block = encoder.block.with_merged("head", num_tokens, pooling_head(sizes, num_tokens));
    Encoder { block, ..encoder }
}

pub(in crate::hf) fn idefics3_vision(fields: &Fields<'_>) -> Encoder {
    let sizes = VitSizes { width: 1152, num_heads: 16, ..SIZES };
    encoder(VitSizes::read(fields, sizes), Patches::read(fields, 224, 32))
}

fn encoder(sizes: VitSizes, patches: Patches) -> Encoder {
    let (width, side) = (sizes.width, patches.side);
    let patch = [width, patches.num_channels, side, side];
    let patch = Block::empty().product("weight", patch, 1).vector("bias", width);
    let layers = Block::empty().with_list("layers", sizes.num_layers, sizes.layer());
    let embeddings = Block::of([
        ("patch_embedding", patch),
        ("position_embedding", Block::embedding(patches.num, width)),
    ]);
    let block = Block::of([
        ("embeddings", embeddings),
        ("encoder", layers),
        ("post_layernorm", Block::layer_norm(width)),
    ]);
    let num_tokens = patches.num;
    Encoder { block, num_tokens, out: Features { num_tokens, width } }
}

/// One query that attends to all tokens, of each of which a key and a value are made.
fn pooling_head(sizes: VitSizes, num_tokens: usize) -> Block {
    let VitSizes { width, inner, .. } = sizes;
    let flops = 2 * (width as u128).pow(2) * (1 + 2 * num_tokens as u128);
    let attention = Block::empty()
        .tensor("in_proj_weight", [3 * width, width], flops)
        .vector("in_proj_bias", 3 * width)
        .with("out_proj", Block::linear_with(width, width, true.into()));
    Block::empty()
        .tensor("probe", [1, 1, width], 0)
        .with("attention", attention)
        .with("layernorm", Block::layer_norm(width))
        .with("mlp", plain_mlp(["fc1", "fc2"], width, inner, true.into()))
}
