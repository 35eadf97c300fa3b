//! GPipe: all forwards, then all backwards.
//!
//! ```text
//! bubble       (p - 1) (F + B)            for p ranks, whatever the number m of microbatches
//! rate         (p - 1) / (m + p - 1)
//! activations  m microbatches on every rank
//!
//! p = 3, m = 4; one column a step
//! rank 0  0F0 0F1 0F2 0F3  .   .   .   .  0B0 0B1 0B2 0B3
//! rank 1   .  1F0 1F1 1F2 1F3  .   .  1B0 1B1 1B2 1B3
//! rank 2   .   .  2F0 2F1 2F2 2F3 2B0 2B1 2B2 2B3
//! ```
//!
//! Backwards come in the order of the forwards. Simple, and with few microbatches as fast as 1F1B;
//! but every activation of the batch is alive at once.
//!
//! Huang et al., *GPipe: Efficient Training of Giant Neural Networks using Pipeline Parallelism*,
//! 2019, <https://arxiv.org/abs/1811.06965>.

use super::Extent;
use super::row::Row;
use super::spec::{BackwardStyle, MicrobatchRule, Spec, StagesPerRank, Summary};
use crate::{PlacementStyle, Work};

pub(super) const SPEC: Spec = Spec {
    name: "GPipe",
    class_name: Some("ScheduleGPipe"),
    aliases: &[],
    stages_per_rank: StagesPerRank::Exactly(1),
    placement: PlacementStyle::Loop,
    microbatches: MicrobatchRule::Any,
    backward: BackwardStyle::Whole,
    summary: Summary {
        idea: "all forwards, then all backwards",
        bubble: "(p - 1) (F + B)",
        activations: "m",
        microbatches: "any",
        paper: "Huang et al., GPipe: Efficient Training of Giant Neural Networks using Pipeline \
                Parallelism, 2019",
        link: "https://arxiv.org/abs/1811.06965",
    },
    rows,
};

fn rows(extent: &Extent) -> Vec<Vec<Work>> {
    (0..extent.num_ranks).map(|rank| row(rank, extent)).collect()
}

/// The row of a rank, which has the stage of its own number.
fn row(rank: usize, extent: &Extent) -> Vec<Work> {
    let mut row = Row::new(extent, 2);
    for microbatch in 0..extent.num_microbatches {
        row.forward(rank, microbatch);
    }
    for microbatch in 0..extent.num_microbatches {
        row.backward(rank, microbatch);
    }
    row.finish()
}
