//! Hanayo: waves of microbatches over a snake of two or more stages a rank.
//!
//! ```text
//! bubble       TODO
//! activations  v p stages' on every rank, as much as 1F1B's p of v times the size
//!
//! p = 2, v = 2, m = 4; one column a step
//! PICTURE
//! ```
//!
//! Liu et al., *Hanayo: Harnessing Wave-like Pipeline Parallelism for Enhanced Large Model
//! Training Efficiency*, 2023, <https://arxiv.org/abs/2308.15762>.

use super::Extent;
use super::block::{self, Block};
use super::spec::{BackwardStyle, MicrobatchRule, Spec, StagesPerRank, Summary};
use crate::{ComputeOp, PlacementStyle, Work};

pub(super) const SPEC: Spec = Spec {
    name: "Hanayo",
    class_name: None,
    aliases: &["waves"],
    stages_per_rank: StagesPerRank::Between(2, 64),
    placement: PlacementStyle::Snake,
    microbatches: MicrobatchRule::Any,
    backward: BackwardStyle::Whole,
    summary: Summary {
        idea: "waves over two or more stages a rank, there, back and there again, in the memory of 1F1B",
        bubble: "TODO",
        activations: "v p",
        microbatches: "any",
        paper: "Liu et al., Hanayo: Harnessing Wave-like Pipeline Parallelism for Enhanced Large Model Training Efficiency, 2023",
        link: "https://arxiv.org/abs/2308.15762",
    },
    rows,
};

fn rows(extent: &Extent) -> Vec<Vec<Work>> {
    let block = |forward, backward, turns| Block {
        forward: [forward; 2],
        backward: [backward; 2],
        turns,
        limit: extent.num_ranks * extent.stages_per_rank,
        op: ComputeOp::Backward,
    };
    // Forward and backward of a rank's stage take three units, and so does each step of the first
    // block: what does not meet on one rank meets on none. With more than two stages a rank the
    // second, quicker forward, is often shorter.
    block::shortest(&[block(3, 3, [1, 1, 2]), block(2, 4, [2, 5, 5])], extent)
}
