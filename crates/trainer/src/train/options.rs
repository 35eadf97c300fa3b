//! What a run is told besides its recipe.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use autopipe::ThreadOptions;

use crate::DeviceChoice;

/// What a run is told besides its recipe.
#[derive(Clone, Debug, Default)]
pub struct TrainOptions {
    /// How its ranks are started.
    pub threads: ThreadOptions,
    /// Goes on with the run that is in the recipe's folder, from its newest checkpoint; where there is
    /// none, begins.
    pub resume: bool,
    /// The step whose actions are written as a trace beside what was predicted.
    pub trace_step: Option<usize>,
    /// What its ranks compute on.
    pub device: DeviceChoice,
    /// Of a rank that is a process, its number among those of its machine, if that is known: it takes the
    /// GPU of this number, and otherwise that of its rank.
    pub local_rank: Option<usize>,
    /// Whether the tensors that ranks send each other go from GPU to GPU by NCCL, and not between threads
    /// by copies and between processes over the host.
    pub nccl: bool,
    /// Whether NCCL is told to take two ranks on one GPU (`NCCL_MULTI_RANK_GPU_ENABLE=1`), as it can from 2.30
    /// on.
    pub nccl_shares_gpus: bool,
    /// Ends the run early.
    pub stop: Stop,
}

/// A way to end a run early: after the step that is under way it saves a checkpoint, and ends.
///
/// Clones are one and the same; a signal handler may hold one.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    is_requested: Arc<AtomicBool>,
}

impl Stop {
    /// Asks the run to end.
    pub fn request(&self) {
        self.is_requested.store(true, Ordering::Relaxed);
    }

    /// Whether it has been asked to.
    pub fn is_requested(&self) -> bool {
        self.is_requested.load(Ordering::Relaxed)
    }
}
