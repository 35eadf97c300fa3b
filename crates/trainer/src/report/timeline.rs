//! The measured step, as the page of schedules shows it, beside what the simulator makes of it.

use autopipe::schedule::render::{Chart, html};
use autopipe::schedule::{Costs, Program, Timeline, analyze, simulate, validate};

use crate::trace::{scaled, step_and_bubble};

/// The page of the measured step, in milliseconds, and in a few lines what it is to be compared with.
pub(super) struct Step {
    pub(super) page: String,
    pub(super) summary: Option<String>,
}

pub(super) fn step(timeline: &Timeline) -> Step {
    let measured = scaled(timeline, 1e3);
    let costs = Costs::measured(&measured);
    let analysis = analyze(&measured, &costs);
    let mut charts = vec![Chart {
        title: "measured, in milliseconds",
        timeline: &measured,
        analysis: &analysis,
    }];
    // What was measured is always of a program that is valid; a file may say anything.
    let rows = measured.rows().iter().map(|row| row.iter().map(|span| span.action).collect());
    let program = validate(Program::new(rows.collect())).ok();
    let simulated = program.map(|program| simulate(&program, &costs).with_sizes(&costs));
    let its_analysis = simulated.as_ref().map(|simulated| analyze(simulated, &costs));
    if let (Some(timeline), Some(analysis)) = (&simulated, &its_analysis) {
        let title = "simulated, with the measured times of each stage";
        charts.push(Chart { title, timeline, analysis });
    }
    // By the measured times, so that what differs is waiting that the schedule does not explain.
    let in_seconds = simulated.as_ref().map(|simulated| scaled(simulated, 1e-3));
    let summary = in_seconds.map(|simulated| step_and_bubble(timeline, &simulated).join("\n"));
    Step { page: html(&charts), summary }
}
