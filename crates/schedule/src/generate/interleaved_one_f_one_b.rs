//! Interleaved 1F1B: 1F1B over several stages a rank, in rounds of microbatches.
//!
//! ```text
//! bubble       (p - 1) (F + B)            of one stage: v times shorter than 1F1B's
//! rate         (p - 1) / (v m + p - 1)
//! activations  (v - 1) g + 2 (p - 1 - r) + 1 stages' on rank r, no more than v m
//!
//! p = 2, v = 2, m = 4; one column a step
//! rank 0  0F0 0F1 2F0 2F1 0F2 2B0 0F3 2B1 2F2 0B0 2F3 0B1  .  2B2  .  2B3 0B2 0B3
//! rank 1   .  1F0 1F1 3F0 3B0 3F1 3B1 1F2 1B0 1F3 1B1 3F2 3B2 3F3 3B3 1B2 1B3
//! ```
//!
//! A round of g microbatches goes through one stage of a rank after the other; g is p if p divides
//! m. Rank r warms up with all but the last stage of a round and two forwards for every rank
//! behind it, then alternates forward and backward. With more stages the bubble is shorter and
//! there is more to send.
//!
//! Narayanan et al., *Efficient Large-Scale Language Model Training on GPU Clusters Using
//! Megatron-LM*, 2021, <https://arxiv.org/abs/2104.04473>.

use super::Extent;
use super::rounds::Rounds;
use super::row::Row;
use super::spec::{BackwardStyle, MicrobatchRule, Spec, StagesPerRank, Summary};
use crate::{PlacementStyle, Work};

pub(super) const SPEC: Spec = Spec {
    name: "Interleaved1F1B",
    class_name: Some("ScheduleInterleaved1F1B"),
    aliases: &["interleaved_1f1b"],
    stages_per_rank: StagesPerRank::AtLeast(1),
    placement: PlacementStyle::Loop,
    microbatches: MicrobatchRule::EqualRounds,
    backward: BackwardStyle::Whole,
    summary: Summary {
        idea: "1F1B over several stages of a rank, in rounds of microbatches",
        bubble: "(p - 1) (F + B)",
        activations: "(v - 1) g + 2 (p - 1 - r) + 1 in rounds of g, p if p divides m",
        microbatches: "m a multiple of m / p rounded down",
        paper: "Narayanan et al., Efficient Large-Scale Language Model Training on GPU Clusters \
                Using Megatron-LM, 2021",
        link: "https://arxiv.org/abs/2104.04473",
    },
    rows,
};

fn rows(extent: &Extent) -> Vec<Vec<Work>> {
    (0..extent.num_ranks).map(|rank| row(rank, extent)).collect()
}

fn row(rank: usize, extent: &Extent) -> Vec<Work> {
    let rounds = Rounds::new(extent);
    let num_passes = extent.stages_per_rank * extent.num_microbatches;
    let num_warmup = rounds.num_warmup(rank, extent, 2);
    let mut row = Row::new(extent, 2);
    let forward = |row: &mut Row, i| {
        let (stage, microbatch) = rounds.forward(rank, i);
        row.forward(stage, microbatch);
    };
    for i in 0..num_warmup {
        forward(&mut row, i);
    }
    for i in 0..num_passes {
        if num_warmup + i < num_passes {
            forward(&mut row, num_warmup + i);
        }
        let (stage, microbatch) = rounds.backward(rank, i);
        row.backward(stage, microbatch);
    }
    row.finish()
}
