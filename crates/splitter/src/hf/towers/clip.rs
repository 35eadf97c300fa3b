//! CLIP's encoder of images.

use super::image::Patches;
use super::vit::VitSizes;
use super::{Encoder, Features};
use crate::hf::block::Block;
use crate::hf::fields::Fields;

const SIZES: VitSizes = VitSizes { width: 768, inner: 3072, num_layers: 12, num_heads: 12 };

pub(super) fn clip(fields: &Fields<'_>) -> Encoder {
    let sizes = VitSizes::read(fields, SIZES);
    let patches = Patches::read(fields, 224, 32);
    let (width, side) = (sizes.width, patches.side);
    let patch = [width, patches.num_channels, side, side];
    // One token more stands for the whole image.
    let num_tokens = patches.num + 1;
    let embeddings = Block::empty()
        .vector("class_embedding", width)
        .with("patch_embedding", Block::empty().product("weight", patch, 1))
        .with("position_embedding", Block::embedding(num_tokens, width));
    let layers = Block::empty().with_list("layers", sizes.num_layers, sizes.layer());
    let block = Block::of([
        ("embeddings", embeddings),
        ("pre_layrnorm", Block::layer_norm(width)), // so in every checkpoint
        ("encoder", layers),
        ("post_layernorm", Block::layer_norm(width)),
    ]);
    Encoder { block, num_tokens, out: Features { num_tokens: patches.num, width } }
}
