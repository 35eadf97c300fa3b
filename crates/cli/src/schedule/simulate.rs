//! `autopipe schedule simulate`: how long a schedule takes, and why.

use anyhow::bail;
use autopipe_schedule::render::{Report, json, number, report};
use autopipe_schedule::{Comparison, Timeline};
use serde_json::Value;

use super::figures::{columns, counted, percent};
use super::measured::comparison;
use super::timed::{Timed, time};
use super::{costs, read};
use crate::args::Simulate;
use crate::output;

/// Prints the figures of a schedule.
///
/// # Errors
/// If the schedule cannot be read or is not right, or the costs are not for it.
pub(super) fn run(args: &Simulate) -> anyhow::Result<()> {
    let (costs, run) = costs::timing_with_run(&args.timing)?;
    let input = read::one(&args.source)?;
    let given = &args.timing.costs;
    if input.is_measured() && (given.costs.is_some() || given.costs_file.is_some()) {
        bail!(
            "{} was measured and has its own costs; leave --costs and --costs-file out",
            input.name
        );
    }
    let timed = time(input, &costs, args.timing.costs_of)?;
    let comparison = beside_a_run(&timed, run.as_ref());
    if args.json {
        return output::result(&as_json(&timed, comparison.as_ref())?);
    }
    let report = report(&timed.chart());
    let mut text = format!(
        "{}: {}\n\n{}\n{}",
        timed.name,
        timed.size(),
        summary(&timed, &report),
        ranks(&report)
    );
    if let Some(comparison) = comparison {
        text.push_str(&format!("\n{comparison}"));
    }
    output::result(&text)
}

/// What was measured beside what is predicted, if it is of the same schedule: the schedule is a run
/// itself, or the costs are those of a run.
fn beside_a_run(timed: &Timed, run: Option<&Timeline>) -> Option<Comparison> {
    match (&timed.prediction, run) {
        (Some(prediction), _) => comparison(&timed.timeline, prediction),
        (None, Some(run)) => comparison(run, &timed.timeline.with_sizes(&timed.costs)),
        (None, None) => None,
    }
}

/// The report, with the comparison if there is one.
fn as_json(timed: &Timed, comparison: Option<&Comparison>) -> anyhow::Result<String> {
    let text = json(&timed.chart());
    let Some(comparison) = comparison else { return Ok(text) };
    let mut report: Value = serde_json::from_str(&text)?;
    report["comparison"] = serde_json::to_value(comparison)?;
    Ok(format!("{report:#}\n"))
}

fn summary(timed: &Timed, report: &Report) -> String {
    let path = &report.critical_path;
    let by_makespan = percent(timed.timeline.makespan_bubble_rate());
    format!(
        "span           {}\n\
         makespan       {}\n\
         bubble         {} of the span, {by_makespan} of the makespan\n\
         critical path  {}, {}: {}\n\
         messages       {}\n",
        number(report.span),
        number(report.makespan),
        percent(report.bubble_rate),
        number(timed.analysis.critical_length),
        counted(path.len(), "action"),
        shortened(path.iter().map(|action| action.action.as_str())),
        timed.costs.communication(),
    )
}

/// How many actions of a long list are shown at each of its ends.
const SHOWN: usize = 4;

fn shortened<'a>(actions: impl Iterator<Item = &'a str>) -> String {
    let actions: Vec<&str> = actions.collect();
    if actions.len() <= 2 * SHOWN + 1 {
        return actions.join(" ");
    }
    let (start, end) = (&actions[..SHOWN], &actions[actions.len() - SHOWN..]);
    format!("{} .. {}", start.join(" "), end.join(" "))
}

const HEAD: [&str; 9] = [
    "rank",
    "work",
    "idle",
    "warm-up",
    "dependency",
    "communication",
    "tail",
    "peak activations",
    "peak memory",
];

fn ranks(report: &Report) -> String {
    let line = |rank: &autopipe_schedule::render::RankReport| {
        let bubble = rank.bubble;
        let times = [
            rank.work,
            rank.idle,
            bubble.warm_up,
            bubble.dependency,
            bubble.communication,
            bubble.tail,
        ];
        let mut line = vec![rank.rank.to_string()];
        line.extend(times.map(number));
        line.extend([rank.peak_activations.to_string(), number(rank.peak_bytes)]);
        line
    };
    let head = HEAD.map(str::to_owned).to_vec();
    let lines: Vec<Vec<String>> =
        std::iter::once(head).chain(report.ranks.iter().map(line)).collect();
    columns(&lines)
}
