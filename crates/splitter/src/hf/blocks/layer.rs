//! A decoder layer: blocks, each with its sum, and norms.

use crate::hf::block::Block;

/// `h = x + attention(norm(x))`, `y = h + mlp(norm(h))`.
pub(in crate::hf) fn pre_norm_layer(hidden_size: usize, attention: Block, mlp: Block) -> Block {
    let norms = ["input_layernorm", "post_attention_layernorm"];
    layer(hidden_size, [("self_attn", attention), ("mlp", mlp)], norms)
}

/// Two blocks and root-mean-square norms of these names. Kept are the results of all norms and of
/// both blocks, and both sums, beside what is inside of the blocks.
pub(in crate::hf) fn layer<const N: usize>(
    hidden_size: usize,
    blocks: [(&'static str, Block); 2],
    norms: [&'static str; N],
) -> Block {
    let norms = norms.map(|name| (name, Block::rms_norm(hidden_size)));
    let (num_kept, width) = ((N + 4) as u128, hidden_size as u128);
    // Both blocks are cut among tensor-parallel ranks.
    Block::of(blocks.into_iter().chain(norms)).keeping(num_kept * width).adding(4 * width)
}
