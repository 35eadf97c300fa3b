//! What the page's script draws, as compact JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::render::Chart;
use crate::render::look::Look;
use crate::{MemoryPoint, Place};

/// Columns instead of objects: a name for every field of every action would be most of the page.
#[derive(Serialize)]
struct ChartData<'a> {
    title: &'a str,
    end: f64,
    ranks: Vec<RankData>,
    /// The critical path: numbers of actions, counted through all ranks.
    critical: Vec<usize>,
}

#[derive(Serialize)]
struct RankData {
    /// The actions as they are written, with blanks between.
    actions: String,
    /// A letter for each, of its [`Look`].
    looks: String,
    start: Vec<f64>,
    end: Vec<f64>,
    slack: Vec<f64>,
    /// For each action, what it waits for: numbers of actions, counted through all ranks.
    waits: Vec<Vec<usize>>,
    time: Vec<f64>,
    activations: Vec<usize>,
    /// Empty if the costs name no bytes.
    bytes: Vec<f64>,
}

/// The data of a page, ready to stand in a script element.
pub(super) fn data(charts: &[Chart<'_>]) -> String {
    let charts: Vec<ChartData<'_>> = charts.iter().map(chart_data).collect();
    let json = serde_json::to_string(&charts).expect("strings, numbers and lists are always JSON");
    // Whatever a title says, it does not end the element or begin a comment in it.
    json.replace('<', "\\u003c")
}

fn chart_data<'a>(chart: &Chart<'a>) -> ChartData<'a> {
    let rows = chart.timeline.rows();
    let mut firsts = Vec::with_capacity(rows.len());
    let mut count = 0;
    for row in rows {
        firsts.push(count);
        count += row.len();
    }
    let number = |place: &Place| {
        let row = rows.get(place.rank.index())?;
        (place.step < row.len()).then(|| firsts[place.rank.index()] + place.step)
    };
    let ranks = (0..rows.len()).map(|rank| rank_data(chart, rank, &number)).collect();
    let critical = chart.analysis.critical_path.iter().filter_map(number).collect();
    ChartData { title: chart.title, end: chart.timeline.makespan(), ranks, critical }
}

fn rank_data(
    chart: &Chart<'_>,
    rank: usize,
    number: &impl Fn(&Place) -> Option<usize>,
) -> RankData {
    let row = &chart.timeline.rows()[rank];
    let mut actions = String::with_capacity(row.len() * 6);
    for (index, span) in row.iter().enumerate() {
        let blank = if index == 0 { "" } else { " " };
        // Writing to a string does not fail.
        let _ = write!(actions, "{blank}{}", span.action);
    }
    let slack = chart.analysis.slack.get(rank).map_or(&[][..], Vec::as_slice);
    let waits = chart.analysis.dependencies.get(rank).map_or(&[][..], Vec::as_slice);
    let points: &[MemoryPoint] = chart.analysis.memory.get(rank).map_or(&[], Vec::as_slice);
    let has_bytes = points.iter().any(|point| point.bytes > 0.0);
    RankData {
        actions,
        looks: row.iter().map(|span| Look::of(span.action).letter()).collect(),
        start: row.iter().map(|span| span.start).collect(),
        end: row.iter().map(|span| span.end).collect(),
        slack: slack.to_vec(),
        waits: waits.iter().map(|places| places.iter().filter_map(number).collect()).collect(),
        time: points.iter().map(|point| point.time).collect(),
        activations: points.iter().map(|point| point.activations).collect(),
        bytes: if has_bytes { points.iter().map(|p| p.bytes).collect() } else { Vec::new() },
    }
}
