//! A run as one page: what its folder tells, as curves, tables and the timeline of the measured step.

mod chart;
mod facts;
mod page;
mod read;
mod table;
#[cfg(test)]
mod tests;
mod timeline;

use std::path::Path;

use crate::Error;

/// The page of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The page: one HTML file that fetches nothing.
    pub html: String,
    /// What of the folder is not on the page, and why: a line that was cut off, a file that is none.
    pub left_out: Vec<String>,
}

/// Reads the folder of a run, ended or going on, and makes its page.
///
/// The page has the figures of `metrics.jsonl` as curves with a readout, their smoothing and a
/// logarithmic scale, tables of evaluations, checkpoints and skipped updates, and the step of
/// `timeline.json` as the page of schedules shows it. It is light or dark as its reader's system is.
///
/// # Errors
/// If the metrics cannot be read, a line of them that is not the last is none of a run, or there is no
/// step yet. What else is missing or cannot be read is left out, and told.
pub fn report(root: &Path) -> Result<Report, Error> {
    let run = read::read(root)?;
    Ok(Report { html: page::page(&run), left_out: run.left_out })
}
