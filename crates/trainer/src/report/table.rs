//! The tables of a page: evaluations, checkpoints, and updates that were skipped.

use autopipe::schedule::render::{escaped, number};
use autopipe::splitter::{short_bytes, with_commas};

use super::facts::{digits, duration};
use super::read::Run;

/// How many lines of a table are shown: the newest.
const MAX_LINES: usize = 500;

/// All tables that have a line.
pub(super) fn tables(run: &Run) -> String {
    let unknown = || "not a number".to_owned();
    let evaluations = run.evaluations.iter().map(|one| {
        vec![
            with_commas(one.step),
            one.val_loss.map_or_else(unknown, digits),
            one.val_perplexity.map_or_else(unknown, number),
            with_commas(one.val_tokens),
            one.seconds.map_or_else(unknown, duration),
        ]
    });
    let checkpoints = run.checkpoints.iter().map(|one| {
        #[expect(clippy::cast_precision_loss, reason = "shown to three digits")]
        let size = short_bytes(one.bytes as f64);
        let what = match (one.is_latest, one.is_best) {
            (true, true) => "newest, best",
            (true, false) => "newest",
            (false, true) => "best",
            (false, false) => "",
        };
        vec![with_commas(one.step), escaped(&one.name), size, what.to_owned()]
    });
    let skipped = run
        .steps
        .iter()
        .filter_map(|step| Some(vec![with_commas(step.step), escaped(step.skipped.as_deref()?)]));
    [
        table("Evaluations", &["step", "loss", "perplexity", "label tokens", "time"], evaluations),
        table("Checkpoints", &["step", "folder", "size", ""], checkpoints),
        table("Skipped updates", &["step", "why"], skipped),
    ]
    .concat()
}

/// A table of cells that are HTML, the newest line first; nothing without lines.
fn table(title: &str, heads: &[&str], lines: impl Iterator<Item = Vec<String>>) -> String {
    let lines: Vec<Vec<String>> = lines.collect();
    if lines.is_empty() {
        return String::new();
    }
    let cells = |line: &[String]| {
        let cells: String = line.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = lines.iter().rev().take(MAX_LINES).map(|line| cells(line)).collect();
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    let older = match lines.len().saturating_sub(MAX_LINES) {
        0 => String::new(),
        older => {
            format!("<p class=\"soft\">{} older ones are not shown.</p>\n", with_commas(older))
        }
    };
    format!(
        "<section>\n<h2>{title}</h2>\n<div class=\"scroll\"><table>\n<thead><tr>{heads}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table></div>\n{older}</section>\n"
    )
}
