//! Checks what is given, and works out what each stage costs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::error::{LEAST_BANDWIDTH, MOST};
use super::{CostError, CostKey, CostProblem, Costs, PerStage};
use crate::{Action, ComputeOp};

/// What one stage costs: times, sizes, and the edge to the stage after it. See [`CostKey`] for what
/// the fields mean.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are the keys, which say what they mean")]
pub struct StageCosts {
    pub forward: f64,
    pub backward_input: f64,
    pub backward_weight: f64,
    pub backward: f64,
    pub recompute: f64,
    /// A time, instead of the factor.
    pub overlap: Option<f64>,
    pub overlap_factor: f64,
    pub unshard: f64,
    pub reshard: f64,
    pub reduce_grad: f64,
    pub reduce_tied: f64,
    pub optimizer_step: f64,
    pub latency: f64,
    pub message_bytes: f64,
    /// None if there is no limit.
    pub bandwidth: Option<f64>,
    pub activation_bytes: f64,
    pub held_for_weight: f64,
    pub held_for_recompute: f64,
    pub resident: f64,
    pub workspace_forward: f64,
    pub workspace_input: f64,
    pub workspace_weight: f64,
    pub workspace_backward: f64,
    pub workspace_recompute: f64,
}

impl StageCosts {
    pub(super) const UNIT: Self = Self {
        forward: 1.0,
        backward_input: 1.0,
        backward_weight: 1.0,
        backward: 2.0,
        recompute: 1.0,
        overlap: None,
        overlap_factor: 1.0,
        unshard: 0.0,
        reshard: 0.0,
        reduce_grad: 0.0,
        reduce_tied: 0.0,
        optimizer_step: 0.0,
        latency: 0.0,
        message_bytes: 0.0,
        bandwidth: None,
        activation_bytes: 1.0,
        held_for_weight: 1.0,
        held_for_recompute: 0.0,
        resident: 0.0,
        workspace_forward: 0.0,
        workspace_input: 0.0,
        workspace_weight: 0.0,
        workspace_backward: 0.0,
        workspace_recompute: 0.0,
    };

    /// How long the stage computes.
    #[must_use]
    pub fn time(&self, op: ComputeOp) -> f64 {
        match op {
            ComputeOp::Forward => self.forward,
            ComputeOp::BackwardInput => self.backward_input,
            ComputeOp::BackwardWeight => self.backward_weight,
            ComputeOp::Backward => self.backward,
            ComputeOp::Recompute => self.recompute,
        }
    }

    /// What the stage needs while it computes, beside what it holds before and after.
    #[must_use]
    pub fn workspace(&self, op: ComputeOp) -> f64 {
        match op {
            ComputeOp::Forward => self.workspace_forward,
            ComputeOp::BackwardInput => self.workspace_input,
            ComputeOp::BackwardWeight => self.workspace_weight,
            ComputeOp::Backward => self.workspace_backward,
            ComputeOp::Recompute => self.workspace_recompute,
        }
    }

    /// How long a message is under way on the edge to the next stage.
    #[must_use]
    pub fn message(&self) -> f64 {
        self.message_of(1.0)
    }

    /// The same for a microbatch whose messages are so many times as large.
    pub(super) fn message_of(&self, size: f64) -> f64 {
        self.latency + self.bandwidth.map_or(0.0, |bandwidth| size * self.message_bytes / bandwidth)
    }

    fn new(given: &BTreeMap<CostKey, PerStage>, stage: usize) -> Self {
        let get = |key| given.get(&key).and_then(|value| value.get(stage));
        let or = |key, otherwise| get(key).unwrap_or(otherwise);
        let whole = get(CostKey::Backward);
        let (input, weight) = (get(CostKey::BackwardInput), get(CostKey::BackwardWeight));
        // The two parts make up the whole, as far as what is given lets them.
        let rest = |other: Option<f64>| match (whole, other) {
            (None, _) => 1.0,
            (Some(whole), None) => whole / 2.0,
            (Some(whole), Some(other)) => (whole - other).max(0.0),
        };
        let backward_input = input.unwrap_or_else(|| rest(weight));
        let backward_weight = weight.unwrap_or_else(|| rest(input));
        let forward = or(CostKey::Forward, 1.0);
        let activation_bytes = or(CostKey::ActivationBytes, 1.0);
        let workspace_forward = or(CostKey::WorkspaceForward, 0.0);
        let parts = [CostKey::WorkspaceInput, CostKey::WorkspaceWeight].map(get);
        let larger = parts.into_iter().flatten().fold(0.0, f64::max);
        let workspace_backward = or(CostKey::WorkspaceBackward, larger);
        Self {
            forward,
            backward_input,
            backward_weight,
            backward: whole.unwrap_or(backward_input + backward_weight),
            recompute: or(CostKey::Recompute, forward),
            overlap: get(CostKey::Overlap),
            overlap_factor: or(CostKey::OverlapFactor, 1.0),
            unshard: or(CostKey::Unshard, 0.0),
            reshard: or(CostKey::Reshard, 0.0),
            reduce_grad: or(CostKey::ReduceGrad, 0.0),
            reduce_tied: or(CostKey::ReduceTied, 0.0),
            optimizer_step: or(CostKey::OptimizerStep, 0.0),
            latency: or(CostKey::Latency, 0.0),
            message_bytes: or(CostKey::MessageBytes, 0.0),
            bandwidth: get(CostKey::Bandwidth),
            activation_bytes,
            held_for_weight: or(CostKey::HeldForWeight, activation_bytes),
            held_for_recompute: or(CostKey::HeldForRecompute, 0.0),
            resident: or(CostKey::Resident, 0.0),
            workspace_forward,
            workspace_input: parts[0].unwrap_or(workspace_backward),
            workspace_weight: parts[1].unwrap_or(workspace_backward),
            workspace_backward,
            workspace_recompute: or(CostKey::WorkspaceRecompute, workspace_forward),
        }
    }
}

impl Costs {
    /// Checks all that is given, after `problems` that were found before, and works out the rest.
    pub(super) fn checked(self, mut problems: Vec<CostProblem>) -> Result<Self, CostError> {
        for (&key, value) in &self.given {
            check(key, value, &mut problems);
        }
        if [CostKey::Overlap, CostKey::OverlapFactor].iter().all(|key| self.given.contains_key(key))
        {
            problems.push(CostProblem::TwoOverlaps);
        }
        for (what, factors) in [("factor", &self.microbatches), ("size", &self.microbatch_sizes)] {
            let name = |i| move || format!("the {what} of microbatch {i}");
            let factors = factors.iter().enumerate();
            problems.extend(factors.filter_map(|(i, &value)| problem(value, name(i))));
        }
        for (&action, &value) in &self.actions {
            if !has_time(action) {
                problems.push(CostProblem::NoTimeOfItsOwn { action });
            } else {
                problems.extend(problem(value, || action.to_string()));
            }
        }
        if !problems.is_empty() {
            return Err(CostError { problems });
        }
        Ok(self.worked_out())
    }

    /// With the costs of each stage that follow from what is given, which is right.
    pub(super) fn worked_out(mut self) -> Self {
        let longest = self.given.values().map(|value| value.values().len()).max().unwrap_or(1);
        self.stages = Cow::Owned((0..longest).map(|s| StageCosts::new(&self.given, s)).collect());
        self
    }
}

/// What is wrong with a time, a size or a factor, if anything is.
fn problem(value: f64, name: impl Fn() -> String) -> Option<CostProblem> {
    if !value.is_finite() || value < 0.0 {
        return Some(CostProblem::OutOfRange { name: name(), value });
    }
    (value > MOST).then(|| CostProblem::Extreme { name: name(), value })
}

fn check(key: CostKey, value: &PerStage, problems: &mut Vec<CostProblem>) {
    if value.values().is_empty() {
        problems.push(CostProblem::NoValues { key });
    }
    for (stage, &number) in value.values().iter().enumerate() {
        let name = || match value {
            PerStage::All(_) => key.to_string(),
            PerStage::Each(_) if key.is_of_edges() => {
                format!("{key} between stages {stage} and {}", stage + 1)
            }
            PerStage::Each(_) => format!("{key} of stage {stage}"),
        };
        if let Some(problem) = problem(number, name) {
            problems.push(problem);
        } else if key == CostKey::Bandwidth && number == 0.0 {
            problems.push(CostProblem::NoBandwidth { name: name() });
        } else if key == CostKey::Bandwidth && number < LEAST_BANDWIDTH {
            problems.push(CostProblem::Extreme { name: name(), value: number });
        }
    }
}

fn has_time(action: Action) -> bool {
    match action {
        Action::Compute(_)
        | Action::Overlap(_)
        | Action::Unshard(_)
        | Action::Reshard(_)
        | Action::ReduceGrad(_)
        | Action::ReduceTied { .. }
        | Action::OptimizerStep(_) => true,
        Action::Send(_) | Action::Recv(_) | Action::WaitSend(_) | Action::WaitReduceGrad(_) => {
            false
        }
    }
}
