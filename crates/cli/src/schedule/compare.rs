//! `autopipe schedule compare`: the figures of several schedules, side by side.

use serde_json::{Value, json};

use autopipe_schedule::render::number;

use super::figures::{columns, percent};
use super::read;
use super::timed::{self, Timed};
use crate::args::{Compare, CostsOf};
use crate::output;

/// Prints the figures of all schedules.
///
/// # Errors
/// If a schedule cannot be read or is not right, or the costs are not for it.
pub(super) fn run(args: &Compare) -> anyhow::Result<()> {
    let all = timed::all(read::each(&args.sources), &args.timing)?;
    if args.json {
        let all: Vec<Value> = all.iter().map(as_json).collect();
        return output::result(&format!("{:#}\n", json!({ "schedules": all })));
    }
    let mut text = columns(&lines(&all));
    text.push_str(LEGEND);
    if args.timing.costs_of == CostsOf::Stage && has_different_cuts(&all) {
        text.push_str(CUTS);
    }
    output::result(&text)
}

const LEGEND: &str =
    "\n* the best of its line. Idle times are parts of the time of all ranks together.\n";

const CUTS: &str = "Every stage has the same costs here, though the schedules cut the model differently;\n\
    --costs-of rank shares out the costs of a rank among its stages.\n";

/// Whether ranks have different numbers of stages, so that stages are different parts of a model.
fn has_different_cuts(all: &[Timed]) -> bool {
    let cuts = |timed: &Timed| timed.num_stages.div_ceil(timed.num_ranks());
    all.windows(2).any(|pair| cuts(&pair[0]) != cuts(&pair[1]))
}

/// A figure of which less is better: its name, its value, and how to write it.
type Figure = (&'static str, fn(&Timed) -> f64, fn(f64) -> String);

const FIGURES: [Figure; 6] = [
    ("span", |timed| timed.timeline.span(), number),
    ("makespan", |timed| timed.timeline.makespan(), number),
    ("bubble of span", |timed| timed.timeline.bubble_rate(), percent),
    ("critical path", |timed| timed.analysis.critical_length, number),
    ("peak activations", |timed| most(&timed.timeline.peak_activations()), number),
    ("peak memory", |timed| peak_memory(timed), number),
];

/// The causes of idle time. None is judged, for one comes at the price of another.
const IDLE: [Figure; 4] = [
    ("idle: warm-up", |timed| share(timed, timed.idle().warm_up), percent),
    ("idle: dependency", |timed| share(timed, timed.idle().dependency), percent),
    ("idle: communication", |timed| share(timed, timed.idle().communication), percent),
    ("idle: tail", |timed| share(timed, timed.idle().tail), percent),
];

fn lines(all: &[Timed]) -> Vec<Vec<String>> {
    let line = |name: &str, text: &dyn Fn(&Timed) -> String| {
        let texts = all.iter().map(|timed| format!("{} ", text(timed)));
        std::iter::once(name.to_owned()).chain(texts).collect::<Vec<_>>()
    };
    let mut lines = vec![
        line("", &|timed| timed.name.clone()),
        line("ranks", &|timed| timed.num_ranks().to_string()),
        line("stages", &|timed| timed.num_stages.to_string()),
        line("microbatches", &|timed| timed.num_microbatches.to_string()),
    ];
    lines.extend(FIGURES.iter().map(|figure| judged(all, figure)));
    lines.extend(IDLE.iter().map(|&(name, value, text)| line(name, &|timed| text(value(timed)))));
    lines
}

/// A line with a mark at its best values, unless all are.
fn judged(all: &[Timed], &(name, value, text): &Figure) -> Vec<String> {
    let texts: Vec<String> = all.iter().map(|timed| text(value(timed))).collect();
    // What reads the same is the same: rounding makes no winner.
    let best = text(all.iter().map(value).fold(f64::INFINITY, f64::min));
    let is_worth = texts.iter().any(|text| *text != best);
    let mark = |text: String| {
        let mark = if is_worth && text == best { "*" } else { " " };
        format!("{text}{mark}")
    };
    std::iter::once(name.to_owned()).chain(texts.into_iter().map(mark)).collect()
}

fn peak_memory(timed: &Timed) -> f64 {
    timed.timeline.peak_bytes(&timed.costs).into_iter().fold(0.0, f64::max)
}

fn most(counts: &[usize]) -> f64 {
    counts.iter().max().map_or(0.0, |&count| count as f64)
}

/// A part of the time of all ranks.
fn share(timed: &Timed, time: f64) -> f64 {
    let whole = timed.timeline.makespan() * timed.num_ranks() as f64;
    if whole > 0.0 { time / whole } else { 0.0 }
}

fn as_json(timed: &Timed) -> Value {
    let (timeline, idle) = (&timed.timeline, timed.idle());
    json!({
        "title": timed.name,
        "num_ranks": timed.num_ranks(),
        "num_stages": timed.num_stages,
        "num_microbatches": timed.num_microbatches,
        "span": timeline.span(),
        "makespan": timeline.makespan(),
        "bubble_rate": timeline.bubble_rate(),
        "makespan_bubble_rate": timeline.makespan_bubble_rate(),
        "critical_length": timed.analysis.critical_length,
        "peak_activations": timeline.peak_activations(),
        "peak_bytes": timeline.peak_bytes(&timed.costs),
        "idle": {
            "warm_up": idle.warm_up,
            "dependency": idle.dependency,
            "communication": idle.communication,
            "tail": idle.tail,
        },
    })
}
