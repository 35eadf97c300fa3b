//! What can be wrong with costs.

use super::CostKey;
use crate::{Action, ParseActionError};

/// Costs that make no sense; holds everything that is wrong with them.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", joined(.problems))]
pub struct CostError {
    /// At least one.
    pub problems: Vec<CostProblem>,
}

fn joined(problems: &[CostProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// One thing that is wrong with costs.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CostProblem {
    /// A time or a size is negative or not finite.
    #[error("{name} is {value}, not a finite number of 0 or more")]
    OutOfRange {
        /// Whose it is, such as `F of stage 2`.
        name: String,
        /// The value.
        value: f64,
    },
    /// A value is so large, or a bandwidth so small, that a sum of times may not be finite.
    #[error(
        "{name} is {value:e}, which is too {} to reckon with; use a unit in which it is at {} {:e}",
        if *.value > 1.0 { "large" } else { "small" },
        if *.value > 1.0 { "most" } else { "least" },
        if *.value > 1.0 { MOST } else { LEAST_BANDWIDTH }
    )]
    Extreme {
        /// Whose it is.
        name: String,
        /// The value.
        value: f64,
    },
    /// Nothing would ever arrive.
    #[error("{name} is 0, but a bandwidth is more than 0; leave it away if there is no limit")]
    NoBandwidth {
        /// Whose it is.
        name: String,
    },
    /// A list has nothing in it.
    #[error("{key} has an empty list; give one value, or one a stage")]
    NoValues {
        /// Whose it is.
        key: CostKey,
    },
    /// A list is not as long as there are stages, or edges between them.
    #[error(
        "{key} has {given} values, but the schedule needs {needed}; give one value, or {needed}"
    )]
    WrongCount {
        /// Whose it is.
        key: CostKey,
        /// How many there are.
        given: usize,
        /// How many there should be.
        needed: usize,
    },
    /// There is more than one wish about overlapped computations.
    #[error("overlap and overlap_factor are both given; leave one away")]
    TwoOverlaps,
    /// There is no such key.
    #[error("there is no cost {key:?}, {}", way_out(.nearest))]
    UnknownKey {
        /// What was written.
        key: String,
        /// The key that is most like it, if any is.
        nearest: Option<&'static str>,
    },
    /// A key is there more than once.
    #[error("{key} is given twice")]
    Repeated {
        /// Which.
        key: String,
    },
    /// A key stands alone.
    #[error("{text:?} has no value; write it as F=1")]
    NoValue {
        /// What was written.
        text: String,
    },
    /// A value cannot be read.
    #[error("{key} is {text:?}, which is no number; write one, or one a stage as in 1:2.5:1")]
    NotANumber {
        /// Whose it is.
        key: String,
        /// What was written.
        text: String,
    },
    /// There is no such way to communicate.
    #[error("communication is {text:?}; it can be async, rendezvous or nccl")]
    UnknownCommunication {
        /// What was written.
        text: String,
    },
    /// A time is given for something that is no action.
    #[error("{text:?} has a time but is no action; one is written as `2F0` or `0UNSHARD`")]
    NotAnAction {
        /// What was written.
        text: String,
        /// What is wrong with it.
        #[source]
        source: ParseActionError,
    },
    /// A time is given for an action that takes as long as others make it wait.
    #[error("{action} has no time of its own; give the latency and the bandwidth of messages")]
    NoTimeOfItsOwn {
        /// The action.
        action: Action,
    },
}

/// The most that a cost can be: what is made of three of them, as often as there can be actions, adds
/// up to a finite time.
pub(super) const MOST: f64 = 1e60;

/// What sizes are divided by, likewise.
pub(super) const LEAST_BANDWIDTH: f64 = 1e-60;

impl CostProblem {
    pub(super) fn unknown(key: &str) -> Self {
        let likeness = |name: &str| strsim::jaro_winkler(&key.to_ascii_lowercase(), name);
        let nearest = NAMES
            .into_iter()
            .chain(CostKey::ALL.into_iter().map(CostKey::name))
            .map(|name| (likeness(&name.to_ascii_lowercase()), name))
            .filter(|&(likeness, _)| likeness >= 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| name);
        Self::UnknownKey { key: crate::listing::excerpt(key), nearest }
    }
}

/// The keys that are no [`CostKey`].
const NAMES: [&str; 4] = ["comm", "communication", "microbatches", "microbatch_sizes"];

fn way_out(nearest: &Option<&str>) -> String {
    match nearest {
        Some(name) => format!("did you mean {name}?"),
        None => format!("there are {}", crate::listing::and(CostKey::ALL)),
    }
}
