//! V-Min: two stages a rank, there and back, in as little memory as a full pipeline needs.
//!
//! ```text
//! bubble       (4p - 5) F at most         for p >= 2 and F = I = W, whatever m
//! activations  2 ((p + 4) / 3) stages' on every rank, rounded down inside: a third of 1F1B's
//!
//! p = 2, m = 3; one column a step
//! rank 0  0F0 0F1  .  3F0 3I0 3F1 3I1 0I0 3W0 0I1 0F2 3W1 0W0 3F2 3I2 0W1 3W2 0I2 0W2
//! rank 1   .  1F0 2F0 1F1 2F1 2I0 1I0 2I1 1I1 2W0 1W0 1F2 2F2 2W1 1W1 2I2 1I2 2W2 1W2
//! ```
//!
//! Every pass of the building block goes to the next rank at once, so that each microbatch is back
//! as soon as can be. Where 3 divides p, the forward of one stage of a rank would then meet the
//! backward of the other, and so the last forward waits two units more for its backward.
//!
//! Qi et al., *Pipeline Parallelism with Controllable Memory*, 2024,
//! <https://arxiv.org/abs/2405.15362>.

use super::Extent;
use super::block::{self, Block};
use super::spec::{BackwardStyle, MicrobatchRule, Spec, StagesPerRank, Summary};
use crate::{ComputeOp, PlacementStyle, Work};

pub(super) const SPEC: Spec = Spec {
    name: "V-Min",
    class_name: None,
    aliases: &["v_min", "vmin"],
    stages_per_rank: StagesPerRank::Exactly(2),
    placement: PlacementStyle::V,
    microbatches: MicrobatchRule::Any,
    backward: BackwardStyle::Split,
    summary: Summary {
        idea: "two stages a rank, there and back, in a third of the memory of 1F1B",
        bubble: "at most (4p - 5) F if F = I = W",
        activations: "2 floor((p + 4) / 3)",
        microbatches: "any",
        paper: "Qi et al., Pipeline Parallelism with Controllable Memory, 2024",
        link: "https://arxiv.org/abs/2405.15362",
    },
    rows,
};

fn rows(extent: &Extent) -> Vec<Vec<Work>> {
    block::shortest(&[block(extent.num_ranks)], extent)
}

fn block(num_ranks: usize) -> Block {
    Block {
        forward: [1, 1],
        backward: [1, 1],
        turns: if num_ranks.is_multiple_of(3) { [1, 3, 1] } else { [1, 1, 1] },
        limit: 2 * ((num_ranks + 4) / 3),
        op: ComputeOp::BackwardInput,
    }
}
