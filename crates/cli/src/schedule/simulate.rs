//! `autopipe schedule simulate`: how long a schedule takes, and why.

use autopipe_schedule::render::{Report, json, number, report};

use super::figures::{columns, counted, percent};
use super::timed::{Timed, time};
use super::{costs, read};
use crate::args::Simulate;
use crate::output;

/// Prints the figures of a schedule.
///
/// # Errors
/// If the schedule cannot be read or is not right, or the costs are not for it.
pub(super) fn run(args: &Simulate) -> anyhow::Result<()> {
    let costs = costs::timing(&args.timing)?;
    let timed = time(read::one(&args.source)?, &costs, args.timing.costs_of)?;
    if args.json {
        return output::result(&json(&timed.chart()));
    }
    let report = report(&timed.chart());
    let text = format!(
        "{}: {}\n\n{}\n{}",
        timed.name,
        timed.size(),
        summary(&timed, &report),
        ranks(&report)
    );
    output::result(&text)
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
