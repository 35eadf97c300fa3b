//! The files of the gallery, by their paths below the project's folder.

use std::error::Error;

use autopipe_schedule::render::{Chart, svg};
use autopipe_schedule::{
    Costs, Extent, Kind, PlacementStyle, StagesPerRank, Timeline, analyze, generate, simulate_plan,
};

use super::table;

/// Where the crate's README is, a table of which is made here.
pub(crate) const README: &str = "crates/schedule/README.md";

/// The size of the pictures.
const NUM_RANKS: usize = 4;
const NUM_MICROBATCHES: usize = 8;

/// All files that follow from the schedules. `readme` is the README as it is.
pub(crate) fn files(readme: &str) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut files = Vec::new();
    let mut page = HEAD.to_owned();
    page.push_str(&table::comparison()?);
    for kind in Kind::ALL {
        let picture = format!("img/{}.svg", file_name(kind));
        page.push_str(&section(kind, &picture)?);
        files.push((format!("docs/{picture}"), drawn(&[kind])?));
    }
    files.push(("docs/schedules.md".to_owned(), page));
    let two = drawn(&[Kind::OneFOneB, Kind::ZbH1])?;
    files.push(("crates/schedule/docs/two.svg".to_owned(), two));
    files.push((README.to_owned(), with_table(readme)?));
    Ok(files)
}

const HEAD: &str = "\
# Schedules

<!-- Made by `cargo xtask gallery`; a test compares it with what the crate generates. -->

Every schedule that [`autopipe-schedule`](../crates/schedule) generates: its picture, its formulas, and what the simulator
measures. [ir.md](ir.md) defines the notation. `autopipe schedule generate --schedule NAME` prints the table of each.

In the formulas p is the number of ranks, m that of microbatches, v that of stages on each rank, and r a rank, counted
from 0. F, I and W are what the forward, the gradient of the inputs and the gradient of the weights of **one stage** take;
B is I and W together, F&B a forward and a backward as one. All formulas are without latency.

";

/// The schedule as the gallery draws and measures it.
pub(crate) fn timeline(
    kind: Kind,
    num_ranks: usize,
    num_microbatches: usize,
) -> Result<Timeline, Box<dyn Error>> {
    let stages_per_rank = kind.stages_per_rank().usual();
    let extent = Extent { num_ranks, stages_per_rank, num_microbatches };
    Ok(simulate_plan(&generate(kind, &extent)?, &Costs::UNIT))
}

/// Timelines one above the other.
fn drawn(kinds: &[Kind]) -> Result<String, Box<dyn Error>> {
    let mut drawn = Vec::new();
    for &kind in kinds {
        let timeline = timeline(kind, NUM_RANKS, NUM_MICROBATCHES)?;
        drawn.push((kind.name(), analyze(&timeline, &Costs::UNIT), timeline));
    }
    let charts: Vec<Chart<'_>> = drawn
        .iter()
        .map(|(title, analysis, timeline)| Chart { title, timeline, analysis })
        .collect();
    Ok(svg(&charts))
}

/// A name that a file can have everywhere.
fn file_name(kind: Kind) -> String {
    kind.name().to_ascii_lowercase().replace('-', "_")
}

fn section(kind: Kind, picture: &str) -> Result<String, Box<dyn Error>> {
    let summary = kind.summary();
    let timeline = timeline(kind, NUM_RANKS, NUM_MICROBATCHES)?;
    let peaks: Vec<String> = timeline.peak_activations().iter().map(usize::to_string).collect();
    let names: Vec<String> =
        (kind.class_name().iter()).chain(kind.aliases()).map(|name| format!("`{name}`")).collect();
    let rows = [
        ("also called", names.join(", ")),
        ("stages on each rank", stages(kind.stages_per_rank())),
        ("placement", placement(kind.placement_style()).to_owned()),
        ("microbatches", summary.microbatches.to_owned()),
        ("bubble", summary.bubble.to_owned()),
        ("activations held by a rank", summary.activations.to_owned()),
        (
            "measured as drawn",
            format!(
                "{} of {} time units idle, {}; {} activations by rank",
                timeline.span() - timeline.work(),
                timeline.span(),
                table::percent(timeline.bubble_rate()),
                peaks.join(", "),
            ),
        ),
        ("paper", format!("[{}]({})", summary.paper, summary.link)),
    ];
    let lines = rows.into_iter().filter(|(_, fact)| !fact.is_empty());
    let lines: String = lines.map(|(what, fact)| format!("| {what} | {fact} |\n")).collect();
    Ok(format!(
        "\n## {kind}\n\n{}.\n\n![{kind} on {NUM_RANKS} ranks with {NUM_MICROBATCHES} microbatches]({picture})\n\n\
         | | |\n| --- | --- |\n{lines}",
        capitalized(summary.idea),
    ))
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => format!("{}{}", first.to_uppercase(), characters.as_str()),
        None => String::new(),
    }
}

fn stages(rule: StagesPerRank) -> String {
    match rule {
        StagesPerRank::Exactly(number) => number.to_string(),
        StagesPerRank::Between(fewest, most) => {
            format!("{fewest} to {most}; {} as drawn", rule.usual())
        }
        StagesPerRank::AtLeast(fewest) => format!("{fewest} or more; {} as drawn", rule.usual()),
    }
}

fn placement(style: PlacementStyle) -> &'static str {
    match style {
        PlacementStyle::Loop => "in turn: rank r has the stages r, r + p, r + 2p and so on",
        PlacementStyle::V => "there and back: rank r has the stages r and 2p - 1 - r",
        PlacementStyle::Snake => "there and back, and there again: r, 2p - 1 - r, 2p + r and so on",
    }
}

/// The README with its table of schedules made anew.
fn with_table(readme: &str) -> Result<String, Box<dyn Error>> {
    let (begin, end) = ("<!-- schedules -->\n\n", "\n<!-- end of schedules -->");
    let (before, rest) = readme.split_once(begin).ok_or("the README has no `schedules` mark")?;
    let (_, after) = rest.split_once(end).ok_or("the README has no `end of schedules` mark")?;
    Ok(format!("{before}{begin}{}{end}{after}", table::facts()))
}
