//! Pixtral's encoder of images: layers like a decoder's, with rotary positions.

use super::image::Patches;
use super::vit::{VitSizes, with_attention_costs};
use super::{Encoder, Features};
use crate::hf::block::{Bias, Block};
use crate::hf::blocks::gated_mlp;
use crate::hf::fields::Fields;

const SIZES: VitSizes = VitSizes { width: 1024, inner: 4096, num_layers: 24, num_heads: 16 };

pub(super) fn pixtral(fields: &Fields<'_>) -> Encoder {
    let sizes = VitSizes::read(fields, SIZES);
    let patches = Patches::read(fields, 1024, 16);
    let (width, side) = (sizes.width, patches.side);
    let linear = || Block::linear(width, width);
    let attention = Block::of([
        ("k_proj", linear()),
        ("v_proj", linear()),
        ("q_proj", linear()),
        ("o_proj", linear()),
    ]);
    let layer = Block::of([
        ("attention_norm", Block::rms_norm(width)),
        ("feed_forward", gated_mlp(width, sizes.inner, Bias::None)),
        ("attention", with_attention_costs(attention, width)),
        ("ffn_norm", Block::rms_norm(width)),
    ])
    .keeping(6 * width as u128)
    .adding(4 * width as u128);
    let patch = [width, patches.num_channels, side, side];
    let block = Block::of([
        ("patch_conv", Block::empty().product("weight", patch, 1)),
        ("ln_pre", Block::rms_norm(width)),
        ("transformer", Block::empty().with_list("layers", sizes.num_layers, layer)),
    ]);
    let num_tokens = patches.num;
    Encoder { block, num_tokens, out: Features { num_tokens, width } }
}
