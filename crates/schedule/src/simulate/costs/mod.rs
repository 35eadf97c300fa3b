//! What computing, sending and remembering cost.

mod communication;
mod error;
mod key;
mod measured;
mod read;
mod table;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

pub use communication::Communication;
pub use error::{CostError, CostProblem};
pub use key::{CostKey, PerStage};
use serde::{Deserialize, Serialize};
pub use table::StageCosts;

use crate::{Action, Compute, MicroBatch, Overlap, Stage, Transfer};
use error::MOST;
use read::Document;

/// How long things take and how much memory they need, by stage and by microbatch if they differ.
///
/// Times are in one unit of the user's choosing, sizes in another. They are read from text as the
/// command line has it, and from JSON with the same keys, those of [`CostKey`]; besides, there are
/// `communication`, `microbatches` and `microbatch_sizes`, factors of times and of sizes by
/// microbatch, and, in JSON only, `actions`, for exact times. Whatever is not
/// given has the value that [`CostKey`] says.
///
/// # Examples
/// ```
/// use autopipe_schedule::{Communication, CostKey, Costs};
///
/// let costs: Costs = "F=1,I=1,W=0.5,comm=0.1".parse()?;
/// let slower_end = costs.with(CostKey::Forward, [1.0, 1.0, 1.0, 1.25])?;
/// let queued = slower_end.with_communication(Communication::Nccl);
/// assert_eq!(queued, "F=1:1:1:1.25,I=1,W=0.5,comm=0.1,communication=nccl".parse()?);
/// let json = r#"{"F": [1, 1, 1, 1.25], "I": 1, "W": 0.5, "latency": 0.1, "communication": "nccl"}"#;
/// assert_eq!(queued, serde_json::from_str(json)?);
///
/// let error = "F=-1,overlapp=2,bytes=x".parse::<Costs>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "there is no cost \"overlapp\", did you mean overlap?; \
///      bytes is \"x\", which is no number; write one, or one a stage as in 1:2.5:1; \
///      F is -1, not a finite number of 0 or more"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub struct Costs {
    given: BTreeMap<CostKey, PerStage>,
    /// By stage, what follows from what is given; at least one, and the last holds on.
    stages: Cow<'static, [StageCosts]>,
    communication: Communication,
    /// By microbatch, what to multiply the times of its computations by; 1 after the end.
    microbatches: Vec<f64>,
    /// By microbatch, what to multiply its activations and messages by; 1 after the end.
    microbatch_sizes: Vec<f64>,
    actions: BTreeMap<Action, f64>,
}

impl Costs {
    /// F, I and W take 1, B takes 2; nothing else takes time, and an activation needs 1.
    pub const UNIT: Self = Self {
        given: BTreeMap::new(),
        stages: Cow::Borrowed(&[StageCosts::UNIT]),
        communication: Communication::Async,
        microbatches: Vec::new(),
        microbatch_sizes: Vec::new(),
        actions: BTreeMap::new(),
    };

    /// The same on every stage: F, I and W of one microbatch, and the latency of a message.
    ///
    /// # Errors
    /// If a time is negative, not finite or above 1e60.
    ///
    /// # Examples
    /// ```
    /// use autopipe_schedule::Costs;
    ///
    /// let milliseconds = Costs::uniform(29.718, 29.444, 19.927, 0.527)?;
    /// assert!(Costs::uniform(1.0, -1.0, f64::NAN, 0.0).is_err());
    /// # Ok::<(), autopipe_schedule::CostError>(())
    /// ```
    pub fn uniform(
        forward: f64,
        backward_input: f64,
        backward_weight: f64,
        latency: f64,
    ) -> Result<Self, CostError> {
        let given = BTreeMap::from([
            (CostKey::Forward, forward.into()),
            (CostKey::BackwardInput, backward_input.into()),
            (CostKey::BackwardWeight, backward_weight.into()),
            (CostKey::Latency, latency.into()),
        ]);
        Self { given, ..Self::UNIT }.checked(Vec::new())
    }

    /// With another value for a key, or one for each stage.
    ///
    /// # Errors
    /// If a value is negative, not finite or above 1e60, or a list is empty.
    pub fn with(mut self, key: CostKey, value: impl Into<PerStage>) -> Result<Self, CostError> {
        self.given.insert(key, value.into());
        self.checked(Vec::new())
    }

    /// With another way to communicate.
    #[must_use]
    pub fn with_communication(self, communication: Communication) -> Self {
        Self { communication, ..self }
    }

    /// With factors for the computations of the first microbatches; those of the others stay as
    /// they are. A sequence twice as long may take twice as long.
    ///
    /// # Errors
    /// If a factor is negative, not finite or above 1e60.
    pub fn with_microbatches(self, factors: Vec<f64>) -> Result<Self, CostError> {
        Self { microbatches: factors, ..self }.checked(Vec::new())
    }

    /// With factors for the sizes of the first microbatches: of what is held of them, of what they
    /// need while something is computed, and of their messages. A sequence twice as long may need
    /// twice as much.
    ///
    /// # Errors
    /// If a factor is negative, not finite or above 1e60.
    ///
    /// # Examples
    /// ```
    /// use autopipe_schedule::{Costs, csv, simulate_plan};
    ///
    /// let plan = csv::read_plan("0F0,0F1,0B0,0B1\n".as_bytes())?;
    /// let costs = "activation=100".parse::<Costs>()?.with_microbatch_sizes(vec![1.0, 2.0])?;
    /// assert_eq!(simulate_plan(&plan, &costs).peak_bytes(&costs), [300.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_microbatch_sizes(self, factors: Vec<f64>) -> Result<Self, CostError> {
        Self { microbatch_sizes: factors, ..self }.checked(Vec::new())
    }

    /// With a time for this very action, whatever else is given.
    ///
    /// # Errors
    /// If the time is negative, not finite or above 1e60, or the action is one that only waits: a
    /// send, a receive, `WAIT_SEND` or `WAIT_REDUCE_GRAD`.
    pub fn with_action(mut self, action: Action, time: f64) -> Result<Self, CostError> {
        self.actions.insert(action, time);
        self.checked(Vec::new())
    }

    /// Whether the lists have as many values as a schedule of so many stages needs. Without this a
    /// list that is too short has its last value for the stages beyond.
    ///
    /// # Errors
    /// Every list of another length.
    pub fn check_stages(&self, num_stages: usize) -> Result<(), CostError> {
        let problem = |(&key, value): (&CostKey, &PerStage)| {
            let PerStage::Each(values) = value else { return None };
            let edges = if key.is_of_edges() { 1 } else { 0 };
            let (given, needed) = (values.len(), num_stages.saturating_sub(edges).max(1));
            (given != needed).then_some(CostProblem::WrongCount { key, given, needed })
        };
        let problems: Vec<_> = self.given.iter().filter_map(problem).collect();
        if problems.is_empty() { Ok(()) } else { Err(CostError { problems }) }
    }

    /// How messages pass.
    #[must_use]
    pub fn communication(&self) -> Communication {
        self.communication
    }

    /// What a stage costs, whatever the microbatch.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> &StageCosts {
        let last = self.stages.len() - 1;
        &self.stages[stage.index().min(last)]
    }

    /// How long an action takes by itself: a computation, a collective, an optimiser step. What
    /// only sends, receives or waits takes no time of its own.
    #[must_use]
    pub fn of(&self, action: Action) -> f64 {
        if let Some(&time) = self.actions.get(&action) {
            return time;
        }
        match action {
            Action::Compute(compute) => self.of_compute(compute),
            Action::Overlap(overlap) => self.of_overlap(overlap),
            Action::Unshard(stage) => self.stage(stage).unshard,
            Action::Reshard(stage) => self.stage(stage).reshard,
            Action::ReduceGrad(stage) => self.stage(stage).reduce_grad,
            Action::ReduceTied { stage, .. } => self.stage(stage).reduce_tied,
            Action::OptimizerStep(stage) => self.stage(stage).optimizer_step,
            Action::Send(_) | Action::Recv(_) | Action::WaitSend(_) | Action::WaitReduceGrad(_) => {
                0.0
            }
        }
    }

    /// Whether all microbatches of a stage take the same time.
    pub(crate) fn are_by_stage(&self) -> bool {
        let factors = [&self.microbatches, &self.microbatch_sizes];
        self.actions.is_empty() && factors.iter().all(|factors| factors.is_empty())
    }

    /// How many times as large a microbatch is as the stages' sizes say.
    pub(super) fn size_of(&self, microbatch: MicroBatch) -> f64 {
        self.microbatch_sizes.get(microbatch.index()).copied().unwrap_or(1.0)
    }

    fn of_compute(&self, compute: Compute) -> f64 {
        let time = self.stage(compute.stage).time(compute.op);
        match self.microbatches.get(compute.microbatch.index()) {
            None => time,
            Some(factor) => time * factor,
        }
    }

    fn of_overlap(&self, overlap: Overlap) -> f64 {
        let (forward, backward) = (overlap.forward(), overlap.backward());
        let costs = self.stage(forward.stage);
        match costs.overlap {
            None => costs.overlap_factor * (self.of_compute(forward) + self.of_compute(backward)),
            Some(time) => match self.microbatches.get(forward.microbatch.index()) {
                None => time,
                Some(factor) => time * factor,
            },
        }
    }

    /// How long a message is under way between a stage and the next, in either direction, if its
    /// microbatch is as large as the stages' sizes say.
    #[must_use]
    pub fn message(&self, lower: Stage) -> f64 {
        self.stage(lower).message()
    }

    /// How long the message is under way that is received so.
    pub(crate) fn received(&self, recv: Transfer) -> f64 {
        let sender = recv.direction.sender_to(recv.stage).unwrap_or(recv.stage);
        self.stage(sender.min(recv.stage)).message_of(self.size_of(recv.microbatch))
    }

    /// How large the message of a send or a receive is; none of any other action.
    pub(super) fn moved(&self, action: Action) -> Option<f64> {
        let (lower, microbatch) = edge(action)?;
        Some(self.size_of(microbatch) * self.stage(lower).message_bytes)
    }
}

/// The lower stage of the edge that a send or a receive is on, and its microbatch.
fn edge(action: Action) -> Option<(Stage, MicroBatch)> {
    let (transfer, other) = match action {
        Action::Send(send) => (send, send.direction.receiver_of(send.stage)),
        Action::Recv(recv) => (recv, recv.direction.sender_to(recv.stage)),
        Action::Compute(_)
        | Action::Overlap(_)
        | Action::WaitSend(_)
        | Action::Unshard(_)
        | Action::Reshard(_)
        | Action::ReduceGrad(_)
        | Action::WaitReduceGrad(_)
        | Action::ReduceTied { .. }
        | Action::OptimizerStep(_) => return None,
    };
    Some((transfer.stage.min(other?), transfer.microbatch))
}
