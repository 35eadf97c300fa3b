//! ZB-H2: 1F1B with split backwards, in twice 1F1B's memory and without a bubble.
//!
//! ```text
//! bubble       (p - 1) (F + I - 2W)       where a rank's span counts, not the start
//! activations  2p - 1 on every rank, no more than m
//!
//! p = 3, m = 6; one column a step
//! rank 0  0F0 0F1 0F2 0F3 0F4 0I0 0W0 0F5 0I1 0W1 0I2 0W2 0I3 0W3 0I4 0W4 0I5 0W5
//! rank 1   .  1F0 1F1 1F2 1I0 1F3 1I1 1F4 1I2 1W0 1F5 1I3 1W1 1I4 1W2 1I5 1W3 1W4 1W5
//! rank 2   .   .  2F0 2I0 2F1 2I1 2F2 2I2 2F3 2I3 2F4 2I4 2W0 2F5 2I5 2W1 2W2 2W3 2W4 2W5
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
