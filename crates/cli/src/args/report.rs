//! `autopipe report`: of which run, and where to.

use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
The page has loss, gradient norm, learning rate, throughput and memory as curves, the timeline of the
measured step, and tables of evaluations and checkpoints. It is one file that fetches nothing.

Examples:
  autopipe report runs/quickstart
  autopipe report runs/quickstart --output quickstart.html";

#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// The folder of a run, ended or going on: a recipe's checkpoint.checkpoint_dir
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// The file to write, or - for standard output [default: report.html in RUN]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
