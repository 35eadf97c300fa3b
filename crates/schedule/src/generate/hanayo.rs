//! Hanayo: waves of microbatches over a snake of two or more stages a rank.
//!
//! ```text
//! bubble       4 (p - 1) F                for v = 2 and B = 2F, whatever m
//!              4 (p - 1) F, about         for v > 2 and m = p
//!              2 v (p - 1) F, about       for v > 2 and many microbatches
//! activations  v p stages' on every rank, as much as 1F1B's p of v times the size
//!
//! p = 2, v = 2, m = 4; one column a step
//! rank 0  0F0 0F1  .  3F0 3B0 0F2 3F1 3B1 0B0 0F3 3F2 3B2 0B1 3F3 3B3 0B2  .  0B3
//! rank 1   .  1F0 2F0 1F1 2F1 2B0 1B0 1F2 2F2 2B1 1B1 1F3 2F3 2B2 1B2 2B3 1B3
//! ```
//!
//! Stages lie in a snake, so that a microbatch stays on its rank where it turns, and nothing is
//! sent there. The paper's waves are of as many microbatches as there are ranks. Of more, each rank
//! takes what is shortest: for few, waves that follow one another; for many, one of some building
//! blocks, in which every pass has its place in the steady part. With v > 2 that was no more than 3
//! v (p - 1) F in all that was tried with p <= 12, v <= 10 and m <= 32 p; beyond, there are sizes
//! for which every block has passes that meet, and which wait for them in every round. Interleaved
//! 1F1B waits 3 (p - 1) F and holds up to p - 1 activations more.
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
        idea: "waves over two or more stages a rank, there, back and there again, in the memory \
               of 1F1B",
        bubble: "4 (p - 1) F for v = 2 and B = 2F; for v > 2 about as much if m = p, and about \
                 2 v (p - 1) F for large m",
        activations: "v p",
        microbatches: "any",
        paper: "Liu et al., Hanayo: Harnessing Wave-like Pipeline Parallelism for Enhanced Large \
                Model Training Efficiency, 2023",
        link: "https://arxiv.org/abs/2308.15762",
    },
    rows,
};

fn rows(extent: &Extent) -> Vec<Vec<Work>> {
    let block = |forward, backward, turns| Block {
        forward,
        backward,
        turns,
        limit: extent.num_ranks * extent.stages_per_rank,
        op: ComputeOp::Backward,
    };
    if extent.stages_per_rank == 2 {
        // Forward and backward of a rank's stage take three units, and so does each step of this
        // block: what does not meet on one rank meets on none.
        return block::shortest(&[block([3, 3], [3, 3], [1, 1, 2])], extent);
    }
    // With more stages, which block has no passes that meet depends on both sizes. Of some hundred
    // that were tried with 2 to 12 ranks and 3 to 8 stages on each, these have one for every size.
    let blocks = [
        block([2, 2], [4, 4], [2, 4, 5]),
        block([2, 3], [4, 3], [2, 5, 4]),
        block([3, 3], [3, 3], [2, 2, 3]),
        block([2, 2], [4, 4], [1, 3, 4]),
        block([2, 2], [4, 4], [3, 3, 4]),
        block([2, 3], [4, 3], [2, 1, 2]),
        block([2, 3], [4, 3], [1, 1, 5]),
    ];
    block::shortest(&blocks, extent)
}
