//! What a step is predicted from: times, links and memory, as the caller knows them.

use std::collections::BTreeMap;

use crate::BatchShape;

/// What decides how long a step takes and whether it fits, beside the model itself.
///
/// A step is predicted to take
///
/// ```text
/// sum over stages (time + sending) + (num_microbatches - 1) * busiest
/// ```
///
/// seconds: one microbatch goes through all stages and back, and the others follow it at the pace
/// of the rank that computes longest for each, of which `busiest` is the time per microbatch. What
/// is sent goes on beside what is computed, so it delays the first microbatch only. That holds for
/// schedules that keep their busiest rank busy; what a schedule really does, its simulation tells.
///
/// All numbers are at least 0 and at most 1e60. Times and sizes are floats: whole numbers of bytes
/// are exact as far as 2^53.
#[derive(Clone, Debug, PartialEq)]
pub struct StepModel {
    /// One microbatch.
    pub shape: BatchShape,
    /// Microbatches in a step, at least 1.
    pub num_microbatches: usize,
    /// The rank of each stage: `[0, 1, 2, 3]` for one stage per rank, `[0, 1, 1, 0]` for a V.
    pub ranks: Vec<usize>,
    /// How long each module computes.
    pub times: ModuleTimes,
    /// What is between the ranks.
    pub link: Link,
    /// What the ranks hold.
    pub memory: Memory,
}

/// How long each module computes for one microbatch, forward and backward together.
#[derive(Clone, Debug, PartialEq)]
pub enum ModuleTimes {
    /// As its operations take.
    Computed {
        /// Operations per second, more than 0.
        flops_per_second: f64,
        /// How many times the forward's operations the backward takes: 2 as a rule, 3 if it
        /// computes the forward again.
        backward_per_forward: f64,
    },
    /// As somebody has measured: seconds by the module's name, all modules of the graph.
    Measured(BTreeMap<String, f64>),
}

/// How long tensors travel from one rank to another. Stages of one rank send nothing.
///
/// What leaves a stage travels to the next one and, if it is for a later stage, on from there; each
/// tensor once, whoever takes it. Forward and backward each send one message, the backward those
/// tensors of floats whose gradients it has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// More than 0.
    pub bytes_per_second: f64,
    /// Seconds until the first byte of a message arrives.
    pub latency: f64,
}

/// What the ranks hold, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// For each number of a trainable parameter: its weight, gradient and the optimiser's state,
    /// such as 4 + 4 + 8.
    pub bytes_per_trainable: f64,
    /// For each number of a parameter that is not trained.
    pub bytes_per_frozen: f64,
    /// For each stage, of how many microbatches it holds the activations at its peak: the schedule
    /// decides it. With 1F1B the first of 4 stages holds 4, the last 1.
    pub held: Vec<usize>,
    /// How many tensor-parallel ranks have a part of each stage, at least 1. What the others hold of
    /// parameters is not counted here; of activations it follows from the modules.
    pub num_parts: usize,
    /// What the ranks have.
    pub limits: MemoryLimits,
}

/// How many bytes the ranks have.
#[derive(Clone, Debug, PartialEq)]
pub enum MemoryLimits {
    /// As many as it takes.
    Unlimited,
    /// The same on each rank.
    Each(f64),
    /// By rank.
    PerRank(Vec<f64>),
}
