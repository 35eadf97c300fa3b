//! Where ranks are idle, and why.

use serde::Serialize;

use super::lookup::Lookup;
use crate::{Action, Span, Timeline};

/// The idle time of a rank by cause. Together with what the rank is busy with, it is the makespan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bubble {
    /// Before the rank's first computation.
    pub warm_up: f64,
    /// In between, while another rank still computes what the next computation needs.
    pub dependency: f64,
    /// In between, while tensors are under way or wait for their turn, sends are waited for, or
    /// gradients are summed up; in a measured timeline, also what nothing else explains.
    pub communication: f64,
    /// After the rank has done all.
    pub tail: f64,
}

impl Bubble {
    /// All idle time.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.warm_up + self.dependency + self.communication + self.tail
    }
}

pub(super) fn attribute(timeline: &Timeline, lookup: &Lookup) -> Vec<Bubble> {
    let makespan = timeline.makespan();
    let ends: Vec<f64> = timeline.rows().iter().flatten().map(|span| span.end).collect();
    let rows = timeline.rows().iter().enumerate();
    rows.map(|(rank, row)| of_row(row, makespan, |span| source_end(span, rank, lookup, &ends)))
        .collect()
}

/// When other ranks have computed all that a computation needs; 0 if it needs nothing.
fn source_end(span: &Span, rank: usize, lookup: &Lookup, ends: &[f64]) -> f64 {
    let sources = span.action.computes().filter_map(|part| lookup.source(part));
    sources.filter(|&node| !lookup.is_near(node, rank)).map(|node| ends[node]).fold(0.0, f64::max)
}

fn of_row(row: &[Span], makespan: f64, source_end: impl Fn(&Span) -> f64) -> Bubble {
    let mut bubble = Bubble::default();
    // Until when the rank is accounted for, once it has begun.
    let mut until: Option<f64> = None;
    for span in row {
        match (span.action, until) {
            (Action::Send(_) | Action::Recv(_) | Action::Unshard(_) | Action::ReduceGrad(_), _) => {
            }
            (Action::WaitSend(_) | Action::WaitReduceGrad(_) | Action::ReduceTied { .. }, None) => {
            }
            (
                Action::WaitSend(_) | Action::WaitReduceGrad(_) | Action::ReduceTied { .. },
                Some(from),
            ) => {
                bubble.communication += (span.end - from).max(0.0);
                until = Some(from.max(span.end));
            }
            (
                Action::Compute(_)
                | Action::Overlap(_)
                | Action::Reshard(_)
                | Action::OptimizerStep(_),
                from,
            ) => {
                match from {
                    None => bubble.warm_up = span.start,
                    Some(from) => {
                        let idle = (span.start - from).max(0.0);
                        let dependency = (source_end(span) - from).clamp(0.0, idle);
                        bubble.dependency += dependency;
                        bubble.communication += idle - dependency;
                    }
                }
                until = Some(from.map_or(span.end, |from| from.max(span.end)));
            }
        }
    }
    match until {
        None => bubble.warm_up = makespan,
        Some(until) => bubble.tail = makespan - until,
    }
    bubble
}
