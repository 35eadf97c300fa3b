//! `autopipe report`: a run as one page.

use std::path::Path;

use autopipe_trainer::report::report;

use crate::args::Report;
use crate::output;

/// Where the page goes if nothing else is said.
const PAGE: &str = "report.html";

/// `autopipe report RUN`.
///
/// # Errors
/// If the folder holds no run, or the page cannot be written.
pub(crate) fn run(args: &Report) -> anyhow::Result<()> {
    let report = report(&args.run)?;
    for what in &report.left_out {
        output::warning(&format!("left out: {what}"));
    }
    let output = args.output.clone().unwrap_or_else(|| args.run.join(PAGE));
    if output == Path::new("-") {
        return output::result(&report.html);
    }
    output::to(Some(&output), |out| out.write_all(report.html.as_bytes()))?;
    output::result(&format!("report  {}\n", output.display()))
}
