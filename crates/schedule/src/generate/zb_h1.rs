//! ZB-H1: 1F1B with split backwards, in 1F1B's memory.
//!
//! ```text
//! bubble       (p - 1) (F + I - W)        where a rank's span counts, not the start
//! activations  p on every rank, no more than m
//!
//! p = 3, m = 4; one column a step
//! rank 0  0F0 0F1 0F2  .   .  0I0 0W0 0F3 0I1 0W1 0I2 0W2 0I3 0W3
//! rank 1   .  1F0 1F1  .  1I0 1F2 1I1 1W0 1F3 1I2 1W1 1I3 1W2 1W3
//! rank 2   .   .  2F0 2I0 2F1 2I1 2F2 2I2 2W0 2F3 2I3 2W1 2W2 2W3
//! ```
//!
//! 1F1B's order of F and I. Rank r puts the first r W off, so that every rank holds as many
//! activations as 1F1B's first; the W that are left fill the end, in which 1F1B waits.
//!
//! Qi et al., *Zero Bubble Pipeline Parallelism*, 2024, <https://arxiv.org/abs/2401.10241>.

use super::Extent;
use super::row::Row;
use super::spec::{BackwardStyle, MicrobatchRule, Spec, StagesPerRank, Summary};
use crate::{PlacementStyle, Work};

pub(super) const SPEC: Spec = Spec {
    name: "ZB-H1",
    class_name: None,
    aliases: &["zb_h1", "zbh1"],
    stages_per_rank: StagesPerRank::Exactly(1),
    placement: PlacementStyle::Loop,
    microbatches: MicrobatchRule::Any,
    backward: BackwardStyle::Split,
    summary: Summary {
        idea: "1F1B with split backwards, in 1F1B's memory",
        bubble: "(p - 1) (F + I - W)",
        activations: "p",
        microbatches: "any",
        paper: "Qi et al., Zero Bubble Pipeline Parallelism, 2024",
        link: "https://arxiv.org/abs/2401.10241",
    },
    rows,
};

fn rows(extent: &Extent) -> Vec<Vec<Work>> {
    (0..extent.num_ranks).map(|rank| row(rank, extent, 1)).collect()
}

/// A row that is `ahead` forwards ahead of the next rank's, and puts as many W off for each rank
/// before it.
pub(super) fn row(rank: usize, extent: &Extent, ahead: usize) -> Vec<Work> {
    let &Extent { num_ranks, num_microbatches, .. } = extent;
    let num_warmup = num_microbatches.min(ahead * (num_ranks - 1 - rank));
    let num_late = ahead * rank;
    let mut row = Row::new(extent, 3);
    for microbatch in 0..num_warmup {
        row.forward(rank, microbatch);
    }
    for microbatch in 0..num_microbatches {
        if num_warmup + microbatch < num_microbatches {
            row.forward(rank, num_warmup + microbatch);
        }
        row.input(rank, microbatch);
        if microbatch >= num_late {
            row.weight(rank, microbatch - num_late);
        }
    }
    for microbatch in num_microbatches.saturating_sub(num_late)..num_microbatches {
        row.weight(rank, microbatch);
    }
    row.finish()
}
