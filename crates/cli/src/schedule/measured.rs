//! Measured runs: as their timeline, or as the trace that was drawn of one.

use anyhow::anyhow;
use autopipe_schedule::render::read_trace;
use autopipe_schedule::{Comparison, Place, Timeline, compare};
use serde_json::Value;

/// The timeline in a JSON text, if it is of one at all.
///
/// # Errors
/// If the text is no JSON; everything that is wrong with the timeline.
pub(super) fn timeline(name: &str, text: &str) -> anyhow::Result<Option<Timeline>> {
    let json: Value = serde_json::from_str(text).map_err(|error| anyhow!("{name}: {error}"))?;
    if json.get("traceEvents").is_some() {
        let timeline = read_trace(text);
        return timeline.map(Some).map_err(|error| anyhow!("{name} is no measured trace: {error}"));
    }
    if json.get("rows").is_none() {
        return Ok(None);
    }
    let timeline = serde_json::from_value(json);
    timeline.map(Some).map_err(|error| anyhow!("{name} is no measured timeline: {error}"))
}

/// The two side by side, if the same is computed on the same ranks.
pub(super) fn comparison(run: &Timeline, prediction: &Timeline) -> Option<Comparison> {
    let comparison = compare(run, prediction);
    let computes = |timeline: &Timeline, place: &Place| {
        timeline.row(place.rank).get(place.step).is_some_and(|span| span.action.work().is_some())
    };
    let differ = comparison.only_measured.iter().any(|place| computes(run, place))
        || comparison.only_simulated.iter().any(|place| computes(prediction, place));
    (!differ).then_some(comparison)
}
