//! The names of the single costs, and the values that a name may have.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::CostProblem;

/// What something costs that a schedule does.
///
/// Times are in one unit of the user's choosing, memory in another; bandwidth is in units of memory
/// per unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CostKey {
    /// `F`: the time of a forward; 1 if not given.
    Forward,
    /// `I`: the time of the backward for the inputs; 1 if not given, or what `B` leaves.
    BackwardInput,
    /// `W`: the time of the backward for the weights; 1 if not given, or what `B` leaves.
    BackwardWeight,
    /// `B`: the time of a whole backward; I + W if not given.
    Backward,
    /// `R`: the time to recompute a forward; F if not given.
    Recompute,
    /// `overlap`: the time of a forward and a backward that are computed as one, by the forward's
    /// stage.
    Overlap,
    /// `overlap_factor`: the same as a part of F + B; 1 if neither is given. By the forward's stage.
    OverlapFactor,
    /// `unshard`: the time to gather a stage's parameters; 0 if not given, as all that follow but
    /// for memory.
    Unshard,
    /// `reshard`: the time to give them up.
    Reshard,
    /// `reduce_grad`: the time to sum a stage's gradients over its data-parallel copies.
    ReduceGrad,
    /// `reduce_tied`: the time to sum the gradients of parameters that stages share.
    ReduceTied,
    /// `optimizer_step`: the time to update a stage's parameters.
    OptimizerStep,
    /// `latency`, or `comm`: how long a message is under way, whatever its size. This and the next
    /// two are by edge: the first value is for the edge between stages 0 and 1, in both directions.
    Latency,
    /// `bytes`: the size of a message.
    MessageBytes,
    /// `bandwidth`: how much of a message passes in a unit of time; without limit if not given.
    Bandwidth,
    /// `activation`: what a stage holds of a microbatch from its forward to its backward; 1 if not
    /// given.
    ActivationBytes,
    /// `held_for_w`: what of it is left between I and W; all if not given.
    HeldForWeight,
    /// `held_for_r`: what a stage that recomputes holds between F and R; nothing if not given.
    HeldForRecompute,
    /// `resident`: what a stage holds all the time: weights, gradients, the optimiser's state; 0 if
    /// not given.
    Resident,
    /// `workspace_f`: what a forward needs while it runs, beside what is held before it and behind
    /// it; 0 if not given.
    WorkspaceForward,
    /// `workspace_i`: the same of `I`; that of `B` if not given.
    WorkspaceInput,
    /// `workspace_w`: the same of `W`; that of `B` if not given.
    WorkspaceWeight,
    /// `workspace_b`: the same of `B`; the larger of those of `I` and `W` if not given.
    WorkspaceBackward,
    /// `workspace_r`: the same of `R`; that of `F` if not given.
    WorkspaceRecompute,
}

impl CostKey {
    /// Every key.
    pub const ALL: [Self; 24] = [
        Self::Forward,
        Self::BackwardInput,
        Self::BackwardWeight,
        Self::Backward,
        Self::Recompute,
        Self::Overlap,
        Self::OverlapFactor,
        Self::Unshard,
        Self::Reshard,
        Self::ReduceGrad,
        Self::ReduceTied,
        Self::OptimizerStep,
        Self::Latency,
        Self::MessageBytes,
        Self::Bandwidth,
        Self::ActivationBytes,
        Self::HeldForWeight,
        Self::HeldForRecompute,
        Self::Resident,
        Self::WorkspaceForward,
        Self::WorkspaceInput,
        Self::WorkspaceWeight,
        Self::WorkspaceBackward,
        Self::WorkspaceRecompute,
    ];

    /// How it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "F",
            Self::BackwardInput => "I",
            Self::BackwardWeight => "W",
            Self::Backward => "B",
            Self::Recompute => "R",
            Self::Overlap => "overlap",
            Self::OverlapFactor => "overlap_factor",
            Self::Unshard => "unshard",
            Self::Reshard => "reshard",
            Self::ReduceGrad => "reduce_grad",
            Self::ReduceTied => "reduce_tied",
            Self::OptimizerStep => "optimizer_step",
            Self::Latency => "latency",
            Self::MessageBytes => "bytes",
            Self::Bandwidth => "bandwidth",
            Self::ActivationBytes => "activation",
            Self::HeldForWeight => "held_for_w",
            Self::HeldForRecompute => "held_for_r",
            Self::Resident => "resident",
            Self::WorkspaceForward => "workspace_f",
            Self::WorkspaceInput => "workspace_i",
            Self::WorkspaceWeight => "workspace_w",
            Self::WorkspaceBackward => "workspace_b",
            Self::WorkspaceRecompute => "workspace_r",
        }
    }

    /// Whether its values belong to the edges between stages, of which there is one fewer.
    pub(super) fn is_of_edges(self) -> bool {
        matches!(self, Self::Latency | Self::MessageBytes | Self::Bandwidth)
    }
}

impl fmt::Display for CostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CostKey {
    type Err = CostProblem;

    /// Upper and lower case are the same.
    fn from_str(text: &str) -> Result<Self, CostProblem> {
        let is_it = |key: &Self| key.name().eq_ignore_ascii_case(text);
        if text.eq_ignore_ascii_case("comm") {
            return Ok(Self::Latency);
        }
        Self::ALL.into_iter().find(is_it).ok_or_else(|| CostProblem::unknown(text))
    }
}

/// One value for all stages, or one for each; after the last, the last holds on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerStage {
    /// The same everywhere.
    All(f64),
    /// By stage, or by the edge between a stage and the next.
    Each(Vec<f64>),
}

impl PerStage {
    /// The values that are written down.
    pub(super) fn values(&self) -> &[f64] {
        match self {
            Self::All(value) => std::slice::from_ref(value),
            Self::Each(values) => values,
        }
    }

    /// The value for a stage; none if there are no values at all.
    pub(super) fn get(&self, stage: usize) -> Option<f64> {
        self.values().get(stage).or(self.values().last()).copied()
    }
}

impl From<f64> for PerStage {
    fn from(value: f64) -> Self {
        Self::All(value)
    }
}

impl From<Vec<f64>> for PerStage {
    fn from(values: Vec<f64>) -> Self {
        Self::Each(values)
    }
}

impl<const N: usize> From<[f64; N]> for PerStage {
    fn from(values: [f64; N]) -> Self {
        Self::Each(values.to_vec())
    }
}
