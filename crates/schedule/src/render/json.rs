//! A report on a timeline for programs to read.

use serde::Serialize;

use super::Chart;
use crate::Bubble;

/// What a timeline comes to, as [`json`] writes it. Times are in the timeline's unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What the schedule is called.
    pub title: String,
    /// The longest time from a rank's first computation to its last.
    pub span: f64,
    /// When the last action ends, communication included.
    pub makespan: f64,
    /// How long the busiest rank computes.
    pub work: f64,
    /// Which part of the span even the busiest rank waits.
    pub bubble_rate: f64,
    /// The most activations alive at once, by rank.
    pub peak_activations: Vec<usize>,
    /// What concerns one rank, by rank.
    pub ranks: Vec<RankReport>,
    /// The actions that decide how long it takes, earliest first.
    pub critical_path: Vec<CriticalAction>,
}

/// What a timeline comes to for one rank.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankReport {
    /// The rank's number.
    pub rank: usize,
    /// How long it computes.
    pub work: f64,
    /// How long it is idle until the last rank has finished.
    pub idle: f64,
    /// The idle time by its cause.
    pub bubble: Bubble,
    /// The most activations alive at once.
    pub peak_activations: usize,
    /// The most bytes alive at once; 0 if the costs name none.
    pub peak_bytes: f64,
}

/// An action on the critical path.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CriticalAction {
    /// The rank it is on.
    pub rank: usize,
    /// Its index in the rank's row.
    pub step: usize,
    /// The action as it is written, like `2F0`.
    pub action: String,
    /// When it starts.
    pub start: f64,
    /// When it ends.
    pub end: f64,
}

/// The figures of a timeline.
#[must_use]
pub fn report(chart: &Chart<'_>) -> Report {
    let Chart { title, timeline, analysis } = *chart;
    let peaks = timeline.peak_activations();
    let makespan = timeline.makespan();
    let ranks = (timeline.rows().iter().zip(&analysis.bubble).zip(&peaks).zip(&analysis.memory))
        .enumerate()
        .map(|(rank, (((row, bubble), &peak_activations), memory))| {
            let (work, idle) = work_and_idle(row, makespan);
            RankReport {
                rank,
                work,
                idle,
                bubble: *bubble,
                peak_activations,
                peak_bytes: memory.iter().map(|point| point.bytes).fold(0.0, f64::max),
            }
        })
        .collect();
    let critical_path = (analysis.critical_path.iter())
        .filter_map(|place| {
            let span = timeline.row(place.rank).get(place.step)?;
            Some(CriticalAction {
                rank: place.rank.index(),
                step: place.step,
                action: span.action.to_string(),
                start: span.start,
                end: span.end,
            })
        })
        .collect();
    Report {
        title: title.to_owned(),
        span: timeline.span(),
        makespan,
        work: timeline.work(),
        bubble_rate: timeline.bubble_rate(),
        peak_activations: peaks,
        ranks,
        critical_path,
    }
}

/// The [`Report`] as JSON, indented, its keys in the order of the fields.
#[must_use]
pub fn json(chart: &Chart<'_>) -> String {
    pretty(&report(chart))
}

fn pretty(report: &Report) -> String {
    let mut text =
        serde_json::to_string_pretty(report).expect("strings, numbers and lists are always JSON");
    text.push('\n');
    text
}

fn work_and_idle(row: &[crate::Span], makespan: f64) -> (f64, f64) {
    let work: f64 = (row.iter())
        .filter(|span| span.action.work().is_some())
        .map(|span| span.end - span.start)
        .sum();
    (work, (makespan - work).max(0.0))
}
