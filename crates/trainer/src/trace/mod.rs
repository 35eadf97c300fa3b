//! A measured step beside the same step as it was predicted: a trace to look at, and a few lines.

mod summary;
#[cfg(test)]
mod tests;

use autopipe::schedule::render::{Chart, trace_beside};
use autopipe::schedule::{Costs, Span, Timeline, analyze};
use autopipe::{PipelinePlan, Workload};

pub(crate) use summary::step_and_bubble;
pub use summary::summary;

/// A trace's own unit.
const MILLISECONDS: f64 = 1e3;

/// When every action of a step should happen by the operations of its stages, in seconds.
///
/// Operations have no seconds: how fast the ranks are is taken from the measured step, so that all
/// computations together take as long as there. What then differs is the share of each, and when it
/// is its turn.
pub fn predicted(plan: &PipelinePlan, workload: &Workload, measured: &Timeline) -> Timeline {
    scaled_to(&autopipe::predicted(plan, workload), measured)
}

/// A timeline with another unit of time, so that all its computations together take as long as those
/// of the measured one; as it is, if one of the two computes nothing.
pub fn scaled_to(predicted: &Timeline, measured: &Timeline) -> Timeline {
    let factor = work(measured) / work(predicted);
    if factor.is_finite() && factor > 0.0 { scaled(predicted, factor) } else { predicted.clone() }
}

/// Both timelines, in seconds, as a trace that Perfetto (<https://ui.perfetto.dev>) and
/// chrome://tracing open: for each rank a track of what was measured, its actions named as the
/// schedule names them, and beside it one of what was predicted.
pub fn perfetto(timeline: &Timeline, predicted: &Timeline) -> String {
    let [measured, predicted] =
        [timeline, predicted].map(|timeline| scaled(timeline, MILLISECONDS));
    let costs = Costs::measured(&measured);
    let analyses = [&measured, &predicted].map(|timeline| analyze(timeline, &costs));
    let chart = |title, timeline, analysis| Chart { title, timeline, analysis };
    trace_beside(
        &chart("measured", &measured, &analyses[0]),
        &chart("predicted", &predicted, &analyses[1]),
    )
}

/// The same timeline in another unit of time.
pub(crate) fn scaled(timeline: &Timeline, factor: f64) -> Timeline {
    let scaled = |span: &Span| Span { start: factor * span.start, end: factor * span.end, ..*span };
    let rows = timeline.rows().iter().map(|row| row.iter().map(scaled).collect()).collect();
    // What is beyond all times in the new unit stays in the old one.
    Timeline::from_rows(rows).unwrap_or_else(|_| timeline.clone())
}

/// How long all ranks compute together.
fn work(timeline: &Timeline) -> f64 {
    let spans = timeline.rows().iter().flatten();
    spans.filter(|span| span.action.work().is_some()).map(Span::duration).sum()
}
