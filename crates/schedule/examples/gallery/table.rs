//! The tables over all schedules: what they measure, and what their formulas are.

use std::error::Error;

use autopipe_schedule::Kind;

use super::page::timeline;

/// The sizes that are compared: ranks and microbatches.
const SIZES: [(usize, usize); 2] = [(4, 8), (8, 32)];

/// What each schedule comes to, side by side.
pub(crate) fn comparison() -> Result<String, Box<dyn Error>> {
    let mut text = format!(
        "Each F, I and W of a stage takes 1, an overlapped pair 3. *Span* is the longest time from a rank's first \
         computation to its\nlast, *bubble* the part of it in which even the busiest rank waits, *peak* the most \
         activations that a rank holds. A stage\nof a schedule with v stages on each rank is 1/v as large, so that \
         peak / v compares memory, and only the bubble\ncompares speed.\n\n\
         | schedule | v |{}\n| --- | --- |{}\n",
        SIZES.map(|(p, m)| format!(" span, p={p} m={m} | bubble | peak | peak / v |")).concat(),
        " --- | --- | --- | --- |".repeat(SIZES.len()),
    );
    for kind in Kind::ALL {
        let per_rank = kind.stages_per_rank().usual();
        text.push_str(&format!("| [{kind}](#{}) | {per_rank} |", kind.name().to_lowercase()));
        for (num_ranks, num_microbatches) in SIZES {
            let timeline = timeline(kind, num_ranks, num_microbatches)?;
            let peak = timeline.peak_activations().into_iter().max().unwrap_or(0);
            text.push_str(&format!(
                " {} | {} | {peak} | {} |",
                timeline.span(),
                percent(timeline.bubble_rate()),
                quotient(peak, per_rank),
            ));
        }
        text.push('\n');
    }
    Ok(text)
}

/// The formulas of each schedule.
pub(crate) fn facts() -> String {
    let mut text = String::from(
        "| name | bubble of a rank | activations it holds | microbatches | paper |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for kind in Kind::ALL {
        let summary = kind.summary();
        // Authors and year are enough to know it by; the title is behind the link.
        let authors = summary.paper.split(',').next().unwrap_or(summary.paper);
        let year = summary.paper.rsplit(", ").next().unwrap_or_default();
        text.push_str(&format!(
            "| `{kind}` | {} | {} | {} | [{authors} {year}]({}) |\n",
            summary.bubble, summary.activations, summary.microbatches, summary.link
        ));
    }
    text
}

pub(crate) fn percent(rate: f64) -> String {
    format!("{:.1}%", rate * 100.0)
}

/// With one decimal if there is one.
fn quotient(count: usize, parts: usize) -> String {
    match (count / parts, count % parts * 10 / parts) {
        (whole, 0) => whole.to_string(),
        (whole, tenths) => format!("{whole}.{tenths}"),
    }
}
