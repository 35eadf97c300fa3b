//! V-Half: two stages a rank, there and back, in half of 1F1B's memory.
//!
//! ```text
//! bubble       (3p - 7) F at most for even p > 2, (3p - 4) F for odd p > 1, if F = I = W
//! activations  2 ((p + 2) / 2) stages' on every rank, rounded down inside
//!
//! p = 2, m = 3; one column a step
//! rank 0  0F0 0F1  .  3F0 3I0 0F2 3W0 3F1 0I0 3I1 0W0 3F2 3I2 0I1 3W1 0I2 3W2 0W1 0W2
//! rank 1   .  1F0 2F0 1F1 2F1 2I0 1I0 2W0 1F2 1W0 2F2 2I1 1I1 2I2 1I2 2W1 1W1 2W2 1W2
//! ```
//!
//! In the building block, passes of a rank's first stage go to the next rank at once when they go
//! forward and after one unit more when they go backward; of the second stage the other way round.
//! So no two passes of a rank meet, for any p, if the turns are as below.
//!
//! Qi et al., *Pipeline Parallelism with Controllable Memory*, 2024,
//! <https://arxiv.org/abs/2405.15362>.

use super::Extent;
use super::block::{self, Block};
use super::spec::{BackwardStyle, MicrobatchRule, Spec, StagesPerRank, Summary};
use crate::{ComputeOp, PlacementStyle, Work};

pub(super) const SPEC: Spec = Spec {
    name: "V-Half",
    class_name: None,
    aliases: &["v_half", "vhalf"],
    stages_per_rank: StagesPerRank::Exactly(2),
    placement: PlacementStyle::V,
    microbatches: MicrobatchRule::Any,
    backward: BackwardStyle::Split,
    summary: Summary {
        idea: "two stages a rank, there and back, in half of the memory of 1F1B",
        bubble: "at most (3p - 7) F for even p > 2, (3p - 4) F for odd p > 1, if F = I = W",
        activations: "2 floor((p + 2) / 2)",
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
        forward: [1, 2],
        backward: [2, 1],
        turns: if num_ranks.is_multiple_of(2) { [4, 4, 2] } else { [1, 1, 2] },
        limit: 2 * ((num_ranks + 2) / 2),
        op: ComputeOp::BackwardInput,
    }
}
