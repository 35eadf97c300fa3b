//! Feed-forward blocks of one piece.

use crate::hf::block::{Bias, Block};

/// `down_proj (act (gate_proj x) * up_proj x)`. Kept are both factors and their product; where there
/// are biases, also without them.
pub(in crate::hf) fn gated_mlp(hidden_size: usize, inner: usize, bias: Bias) -> Block {
    let (of_factors, of_sum) = if bias == Bias::Added { (2 * inner, hidden_size) } else { (0, 0) };
    Block::of([
        ("gate_proj", Block::linear_with(hidden_size, inner, bias)),
        ("up_proj", Block::linear_with(hidden_size, inner, bias)),
        ("down_proj", Block::linear_with(inner, hidden_size, bias)),
        ("act_fn", Block::empty()),
    ])
    .keeping_parts((3 * inner + of_factors) as u128)
    .keeping(of_sum as u128)
}

/// The same with one matrix for gate and factor.
pub(in crate::hf) fn fused_mlp(hidden_size: usize, inner: usize) -> Block {
    Block::of([
        ("gate_up_proj", Block::linear(hidden_size, 2 * inner)),
        ("down_proj", Block::linear(inner, hidden_size)),
        ("activation_fn", Block::empty()),
    ])
    .keeping_parts(3 * inner as u128)
}

/// Two matrices of these names and an activation between them. Kept is what goes into the
/// activation and what comes out; where there are biases, also without them.
pub(in crate::hf) fn plain_mlp(
    [first, second]: [&'static str; 2],
    width: usize,
    inner: usize,
    bias: Bias,
) -> Block {
    let (of_first, of_second) = if bias == Bias::Added { (inner, width) } else { (0, 0) };
    Block::of([
        (first, Block::linear_with(width, inner, bias)),
        (second, Block::linear_with(inner, width, bias)),
    ])
    .keeping_parts((2 * inner + of_first) as u128)
    .keeping(of_second as u128)
}
