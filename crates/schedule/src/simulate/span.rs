//! When an action happened, and how much memory it took.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Action;

/// When an action happened, and how much memory it took if that is known.
///
/// What a rank only starts, it goes on from at once: a send, a receive, `UNSHARD`, `REDUCE_GRAD`.
/// Their spans may last while the rank computes.
///
/// # Examples
/// ```
/// use autopipe_schedule::{Held, Span};
///
/// let span = Span::new("2F0".parse()?, 0.0, 1.5);
/// assert_eq!((span.duration(), span.held), (1.5, None));
/// let counted = Span { held: Some(Held { end: 4096.0, peak: 6144.0 }), ..span };
/// assert_eq!(
///     serde_json::to_string(&counted)?,
///     r#"{"action":"2F0","start":0.0,"end":1.5,"held":4096.0,"peak":6144.0}"#
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The action.
    pub action: Action,
    /// When a computation started; when the rank came to whatever else it is.
    pub start: f64,
    /// When a computation ended, a send was through, a receive's tensors were there, parameters
    /// were whole, gradients were summed up, a wait was over.
    pub end: f64,
    /// How large the message of a send or a receive is.
    pub moved: Option<f64>,
    /// What the rank holds of whatever counts as its memory: weights, gradients, activations.
    pub held: Option<Held>,
}

/// What a rank holds around an action, in bytes if it was measured, in the unit of the costs' sizes
/// if it was simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Held {
    /// When the rank goes on to its next action.
    pub end: f64,
    /// The most since it came to this one.
    pub peak: f64,
}

impl Span {
    /// An action of which only the times are known.
    #[must_use]
    pub fn new(action: Action, start: f64, end: f64) -> Self {
        Self { action, start, end, moved: None, held: None }
    }

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

/// As a span is written: the action as its text, and what is not known left out.
#[derive(Serialize, Deserialize)]
struct Document {
    action: String,
    start: f64,
    end: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moved: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peak: Option<f64>,
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let &Self { action, start, end, moved, held } = self;
        let (held, peak) = (held.map(|held| held.end), held.map(|held| held.peak));
        let action = action.to_string();
        Document { action, start, end, moved, held, peak }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Document { action, start, end, moved, held, peak } =
            Document::deserialize(deserializer)?;
        let alone = |there: &str, missing: &str| {
            D::Error::custom(format_args!(
                "{action} has {there:?} and no {missing:?}; give both or neither"
            ))
        };
        let held = match (held, peak) {
            (Some(end), Some(peak)) => Some(Held { end, peak }),
            (None, None) => None,
            (Some(_), None) => return Err(alone("held", "peak")),
            (None, Some(_)) => return Err(alone("peak", "held")),
        };
        let action = action.parse().map_err(D::Error::custom)?;
        Ok(Self { action, start, end, moved, held })
    }
}
