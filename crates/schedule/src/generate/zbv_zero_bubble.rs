//! ZB-V: two stages a rank, there and back, without a bubble in 1F1B's memory.
//!
//! ```text
//! bubble       0                          if F = I = W
//! activations  2p stages' on every rank, as much as 1F1B's p of twice the size
//!
//! p = 2, m = 3; one column a step
//! rank 0  0F0 0F1 0F2 3F0 3I0 3W0 3F1 3I1 3W1 0I0 0W0 3F2 3I2 3W2 0I1 0W1 0I2 0W2
//! rank 1   .  1F0 2F0 1F1 2F1 2I0 2W0 1F2 1I0 1W0 2F2 2I1 2W1 1I1 2I2 1I2 1W1 2W2 1W2
//! ```
//!
//! The first rank has the first stage and the last, so that a microbatch comes back to where it
//! began, and its first gradient is there at once. The order is made for at least 2p - 1
//! microbatches; of fewer it is the same with the others left out.
//!
//! Qi et al., *Zero Bubble Pipeline Parallelism*, 2024, <https://arxiv.org/abs/2401.10241>, and
//! *Pipeline Parallelism with Controllable Memory*, 2024, <https://arxiv.org/abs/2405.15362>.

use super::Extent;
use super::row::Row;
use super::spec::{BackwardStyle, MicrobatchRule, Spec, StagesPerRank, Summary};
use crate::ComputeOp::{BackwardInput as I, BackwardWeight as W, Forward as F};
use crate::{ComputeOp, PlacementStyle, Work};

pub(super) const SPEC: Spec = Spec {
    name: "ZBVZeroBubble",
    class_name: Some("ScheduleZBVZeroBubble"),
    aliases: &["zbv_zero_bubble", "zbv", "zb_v", "v_schedule"],
    stages_per_rank: StagesPerRank::Exactly(2),
    placement: PlacementStyle::V,
    microbatches: MicrobatchRule::Any,
    backward: BackwardStyle::Split,
    summary: Summary {
        idea: "two stages a rank, there and back, with split backwards that leave no bubble",
        bubble: "0 if F = I = W",
        activations: "2p",
        microbatches: "any",
        paper: "Qi et al., Pipeline Parallelism with Controllable Memory, 2024",
        link: "https://arxiv.org/abs/2405.15362",
    },
    rows,
};

fn rows(extent: &Extent) -> Vec<Vec<Work>> {
    (0..extent.num_ranks).map(|rank| row(rank, extent)).collect()
}

fn row(rank: usize, extent: &Extent) -> Vec<Work> {
    let num_ranks = extent.num_ranks;
    let num_behind = num_ranks - 1 - rank; // ranks after this one
    let num_made_for = extent.num_microbatches.max(2 * num_ranks - 1);
    // Its forwards of the first stage are so many when the steady part begins.
    let num_started = num_ranks + num_behind;
    let mut phases = Phases::new(rank, extent);

    phases.repeat(2 * num_behind + 1, &[(F, 0)]);
    phases.repeat(rank, &[(F, 1), (F, 0)]);
    phases.repeat(num_behind + 1, &[(F, 1), (I, 1), (W, 1)]);

    let steady = [(F, 0), (I, 0), (W, 0), (F, 1), (I, 1), (W, 1)];
    phases.repeat(num_made_for - num_started, &steady);
    phases.repeat(num_behind, &steady[1..]);

    phases.repeat(rank, &[(I, 0), (I, 1)]);
    phases.repeat(num_behind + 1, &[(I, 0), (W, 0)]);
    phases.repeat(rank, &[(W, 1)]);
    phases.repeat(rank, &[(W, 0)]);
    phases.row.finish()
}

/// A row that is made phase by phase; every entry takes the next microbatch of its kind.
struct Phases {
    row: Row,
    stages: [usize; 2],
    num_microbatches: usize,
    /// How many microbatches have gone by, of `F`, `I` and `W` of either stage.
    gone: [[usize; 2]; 3],
}

impl Phases {
    fn new(rank: usize, extent: &Extent) -> Self {
        Self {
            row: Row::new(extent, 3),
            stages: [rank, 2 * extent.num_ranks - 1 - rank],
            num_microbatches: extent.num_microbatches,
            gone: [[0; 2]; 3],
        }
    }

    /// Repeats the entries of a phase, and leaves microbatches out that there are not. Stops
    /// computing where all are beyond the last, so that few microbatches take little time.
    fn repeat(&mut self, count: usize, entries: &[(ComputeOp, usize)]) {
        let left = |&(op, chunk): &(ComputeOp, usize)| {
            self.num_microbatches.saturating_sub(self.gone[line(op)][chunk])
        };
        let count_left = count.min(entries.iter().map(left).max().unwrap_or(0));
        for i in 0..count_left {
            for &(op, chunk) in entries {
                let microbatch = self.gone[line(op)][chunk] + i;
                if microbatch < self.num_microbatches {
                    self.row.compute(op, self.stages[chunk], microbatch);
                }
            }
        }
        for &(op, chunk) in entries {
            self.gone[line(op)][chunk] += count;
        }
    }
}

/// Where the microbatches of an operation are counted.
fn line(op: ComputeOp) -> usize {
    match op {
        ComputeOp::Forward => 0,
        ComputeOp::BackwardInput | ComputeOp::Backward => 1,
        ComputeOp::BackwardWeight | ComputeOp::Recompute => 2,
    }
}
