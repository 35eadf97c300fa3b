//! A rank's row in the making, and the microbatches that come next.

use super::Extent;
use crate::{Compute, ComputeOp, MicroBatch, Overlap, Stage, Work};

/// What a rank computes, one entry after the other.
pub(super) struct Row(Vec<Work>);

impl Row {
    /// An empty row with room for all that a rank computes, if it computes so many actions for
    /// each of its stages and each microbatch.
    pub(super) fn new(extent: &Extent, per_microbatch: usize) -> Self {
        let pairs = extent.stages_per_rank * extent.num_microbatches;
        Self(Vec::with_capacity(pairs * per_microbatch))
    }

    pub(super) fn forward(&mut self, stage: usize, microbatch: usize) {
        self.compute(ComputeOp::Forward, stage, microbatch);
    }

    pub(super) fn backward(&mut self, stage: usize, microbatch: usize) {
        self.compute(ComputeOp::Backward, stage, microbatch);
    }

    pub(super) fn input(&mut self, stage: usize, microbatch: usize) {
        self.compute(ComputeOp::BackwardInput, stage, microbatch);
    }

    pub(super) fn weight(&mut self, stage: usize, microbatch: usize) {
        self.compute(ComputeOp::BackwardWeight, stage, microbatch);
    }

    pub(super) fn compute(&mut self, op: ComputeOp, stage: usize, microbatch: usize) {
        self.0.push(compute(op, stage, microbatch).into());
    }

    /// A forward and a backward as one, each a stage and a microbatch.
    pub(super) fn overlap(&mut self, forward: (usize, usize), backward: (usize, usize)) {
        let ids = |(stage, microbatch)| (Stage::new(stage), MicroBatch::new(microbatch));
        let overlap = Overlap::new(ids(forward), ids(backward));
        self.0.push(overlap.expect("checked: the ids of overlaps are in range").into());
    }

    pub(super) fn finish(self) -> Vec<Work> {
        self.0
    }
}

fn compute(op: ComputeOp, stage: usize, microbatch: usize) -> Compute {
    Compute { op, stage: Stage::new(stage), microbatch: MicroBatch::new(microbatch) }
}
