//! 1F1B: as soon as the first gradient is back, one backward for every forward.
//!
//! ```text
//! bubble       (p - 1) (F + B)            as GPipe's, for p ranks and m >= p microbatches
//! rate         (p - 1) / (m + p - 1)
//! activations  p - r microbatches on rank r, whatever m
//!
//! p = 3, m = 4; one column a step
//! rank 0  0F0 0F1 0F2  .   .  0B0 0F3 0B1  .  0B2  .  0B3
//! rank 1   .  1F0 1F1  .  1B0 1F2 1B1 1F3 1B2  .  1B3
//! rank 2   .   .  2F0 2B0 2F1 2B1 2F2 2B2 2F3 2B3
//! ```
//!
//! Rank r warms up with p - r forwards, alternates backward and forward while there are forwards,
//! and ends with the backwards that are left. This is the order that torch executes; the one that
//! it displays numbers the last rank's forwards from 1.
//!
//! Narayanan et al., *PipeDream: Generalized Pipeline Parallelism for DNN Training*, 2019,
//! <https://arxiv.org/abs/1806.03377>; without weight versions as in Narayanan et al., *Efficient
//! Large-Scale Language Model Training on GPU Clusters*, 2021, <https://arxiv.org/abs/2104.04473>.

use super::Extent;
use super::row::Row;
use super::spec::{BackwardStyle, MicrobatchRule, Spec, StagesPerRank, Summary};
use crate::{PlacementStyle, Work};

pub(super) const SPEC: Spec = Spec {
    name: "1F1B",
    class_name: Some("Schedule1F1B"),
    aliases: &[],
    stages_per_rank: StagesPerRank::Exactly(1),
    placement: PlacementStyle::Loop,
    microbatches: MicrobatchRule::AsManyAsStages,
    backward: BackwardStyle::Whole,
    summary: Summary {
        idea: "as soon as the first gradient is back, one backward for every forward",
        bubble: "(p - 1) (F + B)",
        activations: "p - r",
        microbatches: "m >= p",
        paper: "Narayanan et al., PipeDream: Generalized Pipeline Parallelism for DNN Training, \
                2019",
        link: "https://arxiv.org/abs/1806.03377",
    },
    rows,
};

fn rows(extent: &Extent) -> Vec<Vec<Work>> {
    (0..extent.num_ranks).map(|rank| row(rank, extent)).collect()
}

/// The row of a rank, which has the stage of its own number.
fn row(rank: usize, extent: &Extent) -> Vec<Work> {
    let &Extent { num_ranks, num_microbatches, .. } = extent;
    let num_warmup = num_ranks - rank;
    let mut row = Row::new(extent, 2);
    for microbatch in 0..num_warmup {
        row.forward(rank, microbatch);
    }
    for microbatch in 0..num_microbatches {
        row.backward(rank, microbatch);
        let next = num_warmup + microbatch;
        if next < num_microbatches {
            row.forward(rank, next);
        }
    }
    row.finish()
}
