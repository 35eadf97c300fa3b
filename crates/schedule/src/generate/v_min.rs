//! V-Min: two stages a rank, there and back, in as little memory as a full pipeline needs.
//!
//! ```text
//! bubble       4p - 5 times F             for p >= 2 and F = I = W, whatever m
//! activations  2 ((p + 4) / 3) stages' on every rank, rounded down inside: a third of 1F1B's
//!
//! p = 2, m = 4; one column a step
//! PICTURE
//! ```
//!
//! Every pass of the building block goes to the next rank at once, so that each microbatch is back
//! as soon as can be. Forwards of the first stage are then even to those of the second by two
//! units more each rank, and the two backwards fill the gaps; where 3 divides p they would meet,
//! and the last forward waits two units for its backward.
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
        bubble: "(4p - 5) F if F = I = W",
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
