//! Reads a trace that was written here as the timeline that it shows.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::MICROSECONDS;
use crate::listing::excerpt;
use crate::{Held, ParseActionError, Span, Timeline, TimelineError};

/// A text that is no trace of a timeline.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// It is not JSON in the form of a trace.
    #[error("it is no trace in the JSON object form: {0}")]
    NotATrace(#[source] serde_json::Error),
    /// No event is an action.
    #[error("it has no events of a schedule; only traces that autopipe has written can be read")]
    NoActions,
    /// An event stands where actions stand and is none.
    #[error("rank {rank}, step {step}: {source}")]
    NotAnAction {
        /// The rank.
        rank: usize,
        /// The index in its row.
        step: usize,
        /// What is wrong with it.
        source: ParseActionError,
    },
    /// An event says how much was held, or the most, and not both.
    #[error(
        "rank {rank}, step {step}, {action}: has only one of held and peak; give both or neither"
    )]
    HalfHeld {
        /// The rank.
        rank: usize,
        /// The index in its row.
        step: usize,
        /// What happened.
        action: String,
    },
    /// Two events are the same step of a rank.
    #[error("rank {rank}, step {step}: there are two events for it, {first} and {second}")]
    TwoEvents {
        /// The rank.
        rank: usize,
        /// The index in its row.
        step: usize,
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// A rank has no action.
    #[error("rank {rank} has no events, though there is a rank {last}")]
    MissingRank {
        /// Which.
        rank: usize,
        /// The last that has.
        last: usize,
    },
    /// What it shows cannot have happened.
    #[error(transparent)]
    Impossible(#[from] TimelineError),
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "traceEvents")]
    events: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    name: String,
    #[serde(rename = "ts", default)]
    start: f64,
    #[serde(rename = "dur", default)]
    duration: f64,
    #[serde(default)]
    args: Args,
}

#[derive(Default, Deserialize)]
struct Args {
    rank: Option<usize>,
    step: Option<usize>,
    moved: Option<f64>,
    held: Option<f64>,
    peak: Option<f64>,
}

/// Reads what [`trace`](super::trace) has written: every complete event with a rank and a step. Other
/// events are read over, so that a trace may hold more. Times come back but for their last digits.
///
/// # Errors
/// If it is no trace, an action is not written as one, a step is there twice or a rank not at
/// all, or all of it together cannot have happened.
///
/// # Examples
/// ```
/// use autopipe_schedule::render::{Chart, read_trace, trace};
/// use autopipe_schedule::{Costs, analyze, csv, simulate_plan};
///
/// let plan = csv::read_plan("0F0,0B0\n1F0,1B0\n".as_bytes())?;
/// let timeline = simulate_plan(&plan, &Costs::UNIT);
/// let analysis = analyze(&timeline, &Costs::UNIT);
/// let text = trace(&Chart { title: "two", timeline: &timeline, analysis: &analysis });
/// assert_eq!(read_trace(&text)?, timeline);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_trace(text: &str) -> Result<Timeline, TraceError> {
    let Document { events } = serde_json::from_str(text).map_err(TraceError::NotATrace)?;
    let mut rows: BTreeMap<usize, BTreeMap<usize, Span>> = BTreeMap::new();
    for event in events {
        let is_ours =
            event["ph"] == "X" && event["args"]["rank"].is_u64() && event["args"]["step"].is_u64();
        if !is_ours {
            continue;
        }
        let event: Event = serde_json::from_value(event).map_err(TraceError::NotATrace)?;
        let (Some(rank), Some(step)) = (event.args.rank, event.args.step) else { continue };
        let span = span(&event, rank, step)?;
        if let Some(first) = rows.entry(rank).or_default().insert(step, span) {
            let [first, second] = [first, span].map(|span| span.action.to_string());
            return Err(TraceError::TwoEvents { rank, step, first, second });
        }
    }
    let last = *rows.keys().next_back().ok_or(TraceError::NoActions)?;
    if let Some(rank) = (0..last).find(|rank| !rows.contains_key(rank)) {
        return Err(TraceError::MissingRank { rank, last });
    }
    let rows = rows.into_values().map(|row| row.into_values().collect());
    Ok(Timeline::from_rows(rows.collect())?)
}

fn span(event: &Event, rank: usize, step: usize) -> Result<Span, TraceError> {
    let not_an_action = |source| TraceError::NotAnAction { rank, step, source };
    let action = event.name.parse().map_err(not_an_action)?;
    let Args { moved, held, peak, .. } = event.args;
    let held = match (held, peak) {
        (Some(end), Some(peak)) => Some(Held { end, peak }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(TraceError::HalfHeld { rank, step, action: excerpt(&event.name) });
        }
    };
    let (start, end) = (event.start, event.start + event.duration);
    let span = Span::new(action, start / MICROSECONDS, end / MICROSECONDS);
    Ok(Span { moved, held, ..span })
}
