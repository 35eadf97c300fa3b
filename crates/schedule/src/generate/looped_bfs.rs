//! Looped BFS: GPipe over several stages a rank, all microbatches through one before the next.
//!
//! ```text
//! bubble       (p - 1) (F + B)            of one stage: v times shorter than GPipe's
//! rate         (p - 1) / (v m + p - 1)
//! activations  v m stages' on every rank
//!
//! p = 2, v = 2, m = 3; one column a step
//! rank 0  0F0 0F1 0F2 2F0 2F1 2F2  .   .  2B2 2B1 2B0 0B2 0B1 0B0
//! rank 1   .  1F0 1F1 1F2 3F0 3F1 3F2 3B2 3B1 3B0 1B2 1B1 1B0
//! ```
//!
//! Backwards undo the forwards, last microbatch first. A stage's parameters are needed twice in
//! each step and for long, so that gathering shards of them and summing their gradients costs least
//! of all schedules; but every activation of the batch is alive at once.
//!
//! Lamy-Poirier, *Breadth-First Pipeline Parallelism*, 2023, <https://arxiv.org/abs/2211.05953>.

use super::Extent;
use super::row::Row;
use super::spec::{BackwardStyle, MicrobatchRule, Spec, StagesPerRank, Summary};
use crate::{PlacementStyle, Work};

pub(super) const SPEC: Spec = Spec {
    name: "LoopedBFS",
    class_name: Some("ScheduleLoopedBFS"),
    aliases: &["looped_bfs"],
    stages_per_rank: StagesPerRank::AtLeast(1),
    placement: PlacementStyle::Loop,
    microbatches: MicrobatchRule::Any,
    backward: BackwardStyle::Whole,
    summary: Summary {
        idea: "all microbatches forward through one stage of a rank after the other, then all \
               backward",
        bubble: "(p - 1) (F + B)",
        activations: "v m",
        microbatches: "any",
        paper: "Lamy-Poirier, Breadth-First Pipeline Parallelism, 2023",
        link: "https://arxiv.org/abs/2211.05953",
    },
    rows,
};

fn rows(extent: &Extent) -> Vec<Vec<Work>> {
    (0..extent.num_ranks).map(|rank| row(rank, extent)).collect()
}

fn row(rank: usize, extent: &Extent) -> Vec<Work> {
    let &Extent { num_ranks, stages_per_rank, num_microbatches } = extent;
    let stages = (0..stages_per_rank).map(|chunk| chunk * num_ranks + rank);
    let mut row = Row::new(extent, 2);
    for stage in stages.clone() {
        for microbatch in 0..num_microbatches {
            row.forward(stage, microbatch);
        }
    }
    for stage in stages.rev() {
        for microbatch in (0..num_microbatches).rev() {
            row.backward(stage, microbatch);
        }
    }
    row.finish()
}
