//! Interleaved zero bubble: interleaved 1F1B with split backwards, some gradients of weights later.
//!
//! ```text
//! bubble       (p - 1) (F + I - W)        of one stage, if F = I
//! activations  (v - 1) g + p stages' on every rank, no more than v m
//!
//! p = 2, v = 2, m = 2; one column a step
//! rank 0  0F0 0F1 2F0 2F1  .  2I0 2W0 2I1 2W1 0I0 0W0 0I1 0W1
//! rank 1   .  1F0 1F1 3F0 3I0 3F1 3I1 3W0 1I0 3W1 1I1 1W0 1W1
//! ```
//!
//! As interleaved 1F1B in rounds of g microbatches, but a rank needs to be only one forward ahead
//! of the next, because the next gradient waits for I alone. Rank r puts the first r W off, always
//! does the oldest, and ends with those that are left.
//!
//! Qi et al., *Zero Bubble Pipeline Parallelism*, 2024, <https://arxiv.org/abs/2401.10241>, whose
//! ZB-H1 this is for v = 1.

use super::Extent;
use super::rounds::Rounds;
use super::row::Row;
use super::spec::{BackwardStyle, MicrobatchRule, Spec, StagesPerRank, Summary};
use crate::{PlacementStyle, Work};

pub(super) const SPEC: Spec = Spec {
    name: "InterleavedZeroBubble",
    class_name: Some("ScheduleInterleavedZeroBubble"),
    aliases: &["interleaved_zero_bubble", "zero_bubble"],
    stages_per_rank: StagesPerRank::AtLeast(1),
    placement: PlacementStyle::Loop,
    microbatches: MicrobatchRule::EqualRounds,
    backward: BackwardStyle::Split,
    summary: Summary {
        idea: "interleaved 1F1B with split backwards, of which the second half waits where there \
               is time",
        bubble: "(p - 1) (F + I - W)",
        activations: "(v - 1) g + p in rounds of g, p if p divides m",
        microbatches: "m a multiple of m / p rounded down",
        paper: "Qi et al., Zero Bubble Pipeline Parallelism, 2024",
        link: "https://arxiv.org/abs/2401.10241",
    },
    rows,
};

fn rows(extent: &Extent) -> Vec<Vec<Work>> {
    (0..extent.num_ranks).map(|rank| row(rank, extent)).collect()
}

fn row(rank: usize, extent: &Extent) -> Vec<Work> {
    let rounds = Rounds::new(extent);
    let num_passes = extent.stages_per_rank * extent.num_microbatches;
    let num_warmup = rounds.num_warmup(rank, extent, 1);
    let mut row = Row::new(extent, 3);
    let forward = |row: &mut Row, i| {
        let (stage, microbatch) = rounds.forward(rank, i);
        row.forward(stage, microbatch);
    };
    let weight = |row: &mut Row, i| {
        let (stage, microbatch) = rounds.backward(rank, i);
        row.weight(stage, microbatch);
    };
    for i in 0..num_warmup {
        forward(&mut row, i);
    }
    for i in 0..num_passes {
        if num_warmup + i < num_passes {
            forward(&mut row, num_warmup + i);
        }
        let (stage, microbatch) = rounds.backward(rank, i);
        row.input(stage, microbatch);
        if i >= rank {
            weight(&mut row, i - rank);
        }
    }
    for i in num_passes.saturating_sub(rank)..num_passes {
        weight(&mut row, i);
    }
    row.finish()
}
