//! When an action happened.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Action;

/// When an action happened.
///
/// What a rank only starts, it goes on from at once: a send, a receive, `UNSHARD`, `REDUCE_GRAD`.
/// Their spans may last while the rank computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The action.
    pub action: Action,
    /// When a computation started; when the rank came to whatever else it is.
    pub start: f64,
    /// When a computation ended, a send was through, a receive's tensors were there, parameters
    /// were whole, gradients were summed up, a wait was over.
    pub end: f64,
}

impl Span {
    /// How long it lasted.
    #[must_use]
    pub fn duration(&self) -> f64 {
        self.end - self.start
    }
}

/// Whether a rank goes on to the next action only when this one is over.
pub(crate) fn holds_rank(action: Action) -> bool {
    match action {
        Action::Compute(_)
        | Action::Overlap(_)
        | Action::WaitSend(_)
        | Action::Reshard(_)
        | Action::WaitReduceGrad(_)
        | Action::ReduceTied { .. }
        | Action::OptimizerStep(_) => true,
        Action::Send(_) | Action::Recv(_) | Action::Unshard(_) | Action::ReduceGrad(_) => false,
    }
}

/// As a span is written: the action as its text.
#[derive(Serialize, Deserialize)]
struct Document {
    action: String,
    start: f64,
    end: f64,
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let &Self { action, start, end } = self;
        Document { action: action.to_string(), start, end }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Document { action, start, end } = Document::deserialize(deserializer)?;
        Ok(Self { action: action.parse().map_err(D::Error::custom)?, start, end })
    }
}
