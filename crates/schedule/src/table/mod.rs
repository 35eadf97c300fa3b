//! Draws tables as torch does: ranks side by side, steps downwards.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::{Action, Plan, Program, timetable};

/// A plan as a table, one column a rank and one line a step, with idle cells as [`timetable`] has
/// them.
///
/// The layout is that of torch's `_format_pipeline_order`, less the spaces at the ends of lines.
#[must_use]
pub fn table(plan: &Plan) -> String {
    let rows = timetable(plan);
    let cell = |rank: usize, step: usize| {
        rows[rank].get(step).copied().flatten().map_or_else(String::new, |work| work.to_string())
    };
    let num_steps = rows.iter().map(Vec::len).max().unwrap_or(0);
    draw(&all(rows.len()), &all(num_steps), num_steps, cell)
}

/// A program as a table, one column a rank and one line an action of each; actions on one line need
/// not run at the same time.
#[must_use]
pub fn program_table(program: &Program) -> String {
    let rows = program.rows();
    let cell = |rank: usize, step: usize| {
        rows[rank].get(step).map_or_else(String::new, ToString::to_string)
    };
    let num_steps = rows.iter().map(Vec::len).max().unwrap_or(0);
    draw(&all(rows.len()), &all(num_steps), num_steps, cell)
}

/// Up to this size, a table with marks is shown as a whole.
const WHOLE: (usize, usize) = (16, 64);

/// How many marks of a larger table are shown, and how many steps before and behind each.
const MAX_MARKS: usize = 40;
const NEARBY: usize = 2;

/// A table with some cells, given by rank and step, marked `<-- here`. Of a large one, only what is
/// near the marks.
pub(crate) fn marked(
    rows: &[Vec<Option<Action>>],
    marks: impl Iterator<Item = (usize, usize)>,
) -> String {
    let num_steps = rows.iter().map(Vec::len).max().unwrap_or(0);
    let is_small = rows.len() <= WHOLE.0 && num_steps <= WHOLE.1;
    let marks: BTreeSet<_> = marks.take(if is_small { usize::MAX } else { MAX_MARKS }).collect();
    let (ranks, steps) = if is_small {
        (all(rows.len()), all(num_steps))
    } else {
        let ranks: BTreeSet<usize> = marks.iter().map(|&(rank, _)| rank).collect();
        let nearby = |step: usize| step.saturating_sub(NEARBY)..num_steps.min(step + NEARBY + 1);
        let steps: BTreeSet<usize> = marks.iter().flat_map(|&(_, step)| nearby(step)).collect();
        (ranks.into_iter().collect(), steps.into_iter().collect())
    };
    draw(&ranks, &steps, num_steps, |rank, step| {
        let action = rows[rank].get(step).copied().flatten();
        let text = action.map_or_else(String::new, |action| action.to_string());
        if marks.contains(&(rank, step)) { format!("{text} <-- here") } else { text }
    })
}

fn all(count: usize) -> Vec<usize> {
    (0..count).collect()
}

/// Draws some ranks and some steps of a table; where steps are left out, dots stand for them.
fn draw(
    ranks: &[usize],
    steps: &[usize],
    num_steps: usize,
    cell: impl Fn(usize, usize) -> String,
) -> String {
    let digits = num_steps.saturating_sub(1).to_string().len();
    let label_width = "Step ".len() + digits;
    let headers: Vec<String> = ranks.iter().map(|rank| format!("Rank {rank}")).collect();
    let width = |(rank, header): (&usize, &String)| {
        let longest = steps.iter().map(|&step| cell(*rank, step).len()).max().unwrap_or(0);
        longest.max(header.len()).max(label_width)
    };
    let widths: Vec<usize> = ranks.iter().zip(&headers).map(width).collect();

    // The label ends in a colon, which takes a column of its own.
    let label_width = label_width + 1;
    let mut text = String::new();
    let mut line = |label: &str, cells: &mut dyn Iterator<Item = String>| {
        let mut line = format!("{label:<label_width$}");
        for (cell, width) in cells.zip(&widths) {
            line.push_str(&format!(" {cell:<width$}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line("", &mut headers.iter().cloned());
    let mut expected = 0;
    for &step in steps {
        if step != expected {
            line("...", &mut std::iter::empty());
        }
        let label = format!("Step {step:0>digits$}:");
        line(&label, &mut ranks.iter().map(|&rank| cell(rank, step)));
        expected = step + 1;
    }
    if expected < num_steps {
        line("...", &mut std::iter::empty());
    }
    text
}
