//! What leads from an encoder's features to the hidden states of the text.

use super::{Features, Tower};
use crate::hf::block::{Bias, Block};

/// What a projector is made for.
#[derive(Clone, Copy, Debug)]
pub(in crate::hf) struct Projection {
    pub(in crate::hf) name: &'static str,
    pub(in crate::hf) from: Features,
    /// The width of the text.
    pub(in crate::hf) to: usize,
}

impl Projection {
    /// A tower through which `num_tokens` go, to come out as wide as the text.
    fn tower(self, num_tokens: usize, block: Block) -> Tower {
        let out = Features { num_tokens, width: self.to };
        Tower { name: self.name, block: block.keeping(self.to as u128), num_tokens, out }
    }
}

/// One matrix with a bias.
pub(in crate::hf) fn linear_projector(projection: Projection) -> Tower {
    let Projection { from, to, .. } = projection;
    let block = Block::of([("linear", Block::linear_with(from.width, to, true.into()))]);
    projection.tower(from.num_tokens, block)
}

/// Two matrices, the first of which takes the features of `num_layers` layers of the encoder.
pub(in crate::hf) fn two_layer_projector(
    projection: Projection,
    num_layers: usize,
    bias: Bias,
) -> Tower {
    let Projection { from, to, .. } = projection;
    projection.tower(from.num_tokens, two_layers(from.width * num_layers, to, bias))
}

/// The same behind a matrix that makes one token of `side` by `side`.
pub(in crate::hf) fn merging_projector(
    projection: Projection,
    num_layers: usize,
    side: usize,
    bias: Bias,
) -> Tower {
    let Projection { from, to, .. } = projection;
    let merged = side * side;
    let width = from.width;
    let merger = Block::of([("merging_layer", Block::linear(width * merged, width))]);
    let block = Block::of([("norm", Block::rms_norm(width)), ("patch_merger", merger)]);
    let block = add_two_layers(block, width * num_layers, to, bias).keeping(2 * width as u128);
    projection.tower((from.num_tokens / merged).max(1), block)
}

/// One matrix that takes `side` by `side` tokens as one.
pub(in crate::hf) fn concat_projector(projection: Projection, side: usize) -> Tower {
    let Projection { from, to, .. } = projection;
    let merged = side * side;
    let proj = Block::of([("proj", Block::linear(from.width * merged, to))]);
    let block = Block::of([("modality_projection", proj)]);
    projection.tower((from.num_tokens / merged).max(1), block)
}

/// The mean over neighbours to `num_tokens`, a norm, and one matrix.
pub(in crate::hf) fn gemma3_projector(projection: Projection, num_tokens: usize) -> Tower {
    let Projection { from, to, .. } = projection;
    let block = Block::empty()
        .product("mm_input_projection_weight", [from.width, to], 1)
        .with("mm_soft_emb_norm", Block::rms_norm(from.width))
        .keeping(2 * from.width as u128);
    projection.tower(num_tokens, block)
}

fn two_layers(from: usize, to: usize, bias: Bias) -> Block {
    add_two_layers(Block::empty(), from, to, bias)
}

/// Kept is what goes into the activation and what comes out.
fn add_two_layers(block: Block, from: usize, to: usize, bias: Bias) -> Block {
    block
        .with("linear_1", Block::linear_with(from, to, bias))
        .with("act", Block::empty())
        .with("linear_2", Block::linear_with(to, to, bias))
        .keeping(2 * to as u128)
}
