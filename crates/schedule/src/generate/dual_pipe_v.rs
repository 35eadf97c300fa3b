//! DualPipeV: two stages a rank, there and back, each forward as one with a backward.
//!
//! ```text
//! bubble       (p - 1) (F&B + B - 3W)     F&B being what a forward and a backward take as one
//! activations  2p + 1 stages' on every rank
//!
//! p = 2, m = 4; one column a step, of an overlap a wide one
//! rank 0  0F0 0F1 0F2 3F0 3I0 3W0 3F1 0F3&3B1 3F2&0B0 3B2 3F3&0B1 3B3 0I2 0W2 0I3 0W3
//! rank 1   .  1F0 2F0 1F1 2F1 1F2 2B0 2F2&1B0 1F3&2B1 2F3&1B1 2B2 1B2 2I3 1I3 2W3 1W3
//! ```
//!
//! What one half of a pair has to send travels while the other computes: made for experts on many
//! devices, whose every layer sends. Split backwards are used only where ranks would wait, before
//! and after the steady part.
//!
//! DeepSeek-AI, *DeepSeek-V3 Technical Report*, 2024, <https://arxiv.org/abs/2412.19437>, whose
//! DualPipe keeps every stage twice; this is one half of it, which does without the copies.

use std::collections::VecDeque;

use super::Extent;
use super::row::Row;
use super::spec::{BackwardStyle, MicrobatchRule, Spec, StagesPerRank, Summary};
use crate::{PlacementStyle, Work};

pub(super) const SPEC: Spec = Spec {
    name: "DualPipeV",
    class_name: Some("ScheduleDualPipeV"),
    aliases: &["dual_pipe_v"],
    stages_per_rank: StagesPerRank::Exactly(2),
    placement: PlacementStyle::V,
    microbatches: MicrobatchRule::AsManyAsStages,
    backward: BackwardStyle::Overlapped,
    summary: Summary {
        idea: "two stages a rank, there and back, a forward of one as one with a backward of the \
               other",
        bubble: "(p - 1) (F&B + B - 3W)",
        activations: "2p + 1",
        microbatches: "m >= 2p",
        paper: "DeepSeek-AI, DeepSeek-V3 Technical Report, 2024",
        link: "https://arxiv.org/abs/2412.19437",
    },
    rows,
};

fn rows(extent: &Extent) -> Vec<Vec<Work>> {
    (0..extent.num_ranks).map(|rank| row(rank, extent)).collect()
}

fn row(rank: usize, extent: &Extent) -> Vec<Work> {
    let &Extent { num_ranks, num_microbatches, .. } = extent;
    let num_behind = num_ranks - 1 - rank; // ranks after this one
    let mut maker = Maker::new(rank, extent);

    for _ in 0..2 * num_behind {
        maker.forward(0);
    }
    for _ in 0..=rank {
        maker.forward(0);
        maker.forward(1);
    }
    for _ in 0..num_behind {
        maker.input(1);
        maker.oldest_weight();
        maker.forward(1);
    }
    for i in 0..num_microbatches + rank + 1 - 2 * num_ranks {
        if i == 0 && num_behind == 0 {
            // The last rank's first gradient is its own; apart, it goes on sooner.
            maker.forward(0);
            maker.backward(1);
        } else {
            maker.overlap(0, 1);
        }
        maker.overlap(1, 0);
    }
    for _ in 0..num_behind {
        maker.backward(1);
        maker.overlap(1, 0);
    }
    // Of these backwards the second half is split.
    for i in 0..2 * (rank + 1) {
        let chunk = (i + 1) % 2;
        if i > rank { maker.input(chunk) } else { maker.backward(chunk) }
    }
    for _ in 0..num_behind {
        maker.oldest_weight();
        maker.input(0);
    }
    for _ in 0..=rank {
        maker.oldest_weight();
    }
    maker.row.finish()
}

/// A row that is made entry by entry; each takes the next microbatch of its stage.
struct Maker {
    row: Row,
    stages: [usize; 2],
    next_forward: [usize; 2],
    next_backward: [usize; 2],
    /// Stage and microbatch of every `I` without its `W`.
    late: VecDeque<(usize, usize)>,
}

impl Maker {
    fn new(rank: usize, extent: &Extent) -> Self {
        Self {
            row: Row::new(extent, 2),
            stages: [rank, 2 * extent.num_ranks - 1 - rank],
            next_forward: [0; 2],
            next_backward: [0; 2],
            late: VecDeque::new(),
        }
    }

    fn forward(&mut self, chunk: usize) {
        let (stage, microbatch) = self.take_forward(chunk);
        self.row.forward(stage, microbatch);
    }

    fn backward(&mut self, chunk: usize) {
        let (stage, microbatch) = self.take_backward(chunk);
        self.row.backward(stage, microbatch);
    }

    fn overlap(&mut self, forward: usize, backward: usize) {
        let forward = self.take_forward(forward);
        let backward = self.take_backward(backward);
        self.row.overlap(forward, backward);
    }

    fn input(&mut self, chunk: usize) {
        let (stage, microbatch) = self.take_backward(chunk);
        self.row.input(stage, microbatch);
        self.late.push_back((stage, microbatch));
    }

    fn oldest_weight(&mut self) {
        if let Some((stage, microbatch)) = self.late.pop_front() {
            self.row.weight(stage, microbatch);
        }
    }

    fn take_forward(&mut self, chunk: usize) -> (usize, usize) {
        let microbatch = self.next_forward[chunk];
        self.next_forward[chunk] += 1;
        (self.stages[chunk], microbatch)
    }

    fn take_backward(&mut self, chunk: usize) -> (usize, usize) {
        let microbatch = self.next_backward[chunk];
        self.next_backward[chunk] += 1;
        (self.stages[chunk], microbatch)
    }
}
