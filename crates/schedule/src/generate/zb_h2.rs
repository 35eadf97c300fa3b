//! ZB-H2: 1F1B with split backwards, in twice 1F1B's memory and without a bubble.
//!
//! ```text
//! bubble       (p - 1) (F + I - 2W)       where a rank's span counts, not the start
//! activations  2p - 1 on every rank, no more than m
//!
//! p = 3, m = 6; one column a step
//! PICTURE
//! ```
//!
//! Twice as many forwards before the first backward as in ZB-H1 and twice as many W put off: with
//! F = I = W no rank waits from its first action to its last.
//!
//! Qi et al., *Zero Bubble Pipeline Parallelism*, 2024, <https://arxiv.org/abs/2401.10241>.

use super::Extent;
use super::spec::{BackwardStyle, MicrobatchRule, Spec, StagesPerRank, Summary};
use super::zb_h1;
use crate::{PlacementStyle, Work};

pub(super) const SPEC: Spec = Spec {
    name: "ZB-H2",
    class_name: None,
    aliases: &["zb_h2", "zbh2"],
    stages_per_rank: StagesPerRank::Exactly(1),
    placement: PlacementStyle::Loop,
    microbatches: MicrobatchRule::Any,
    backward: BackwardStyle::Split,
    summary: Summary {
        idea: "1F1B with split backwards and twice as many forwards ahead",
        bubble: "(p - 1) (F + I - 2W)",
        activations: "2p - 1",
        microbatches: "any",
        paper: "Qi et al., Zero Bubble Pipeline Parallelism, 2024",
        link: "https://arxiv.org/abs/2401.10241",
    },
    rows,
};

fn rows(extent: &Extent) -> Vec<Vec<Work>> {
    (0..extent.num_ranks).map(|rank| zb_h1::row(rank, extent, 2)).collect()
}
