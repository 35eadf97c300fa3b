//! `autopipe init`: for which model and data, and where to.

use std::path::PathBuf;

use super::plan::positive;

pub(super) const EXAMPLES: &str = "\
A few samples of the data are read for their length, and schedules and microbatches are compared
by their predicted step; no weights are read. The recipe is a page with comments, to be changed by
hand.

Examples:
  autopipe init --model models/llama --data train.jsonl --pp 2
  autopipe init --model models/llama --data train.jsonl --pp 4 --memory 24 --output tuned.yaml
  autopipe init --model config.json --data book.txt --output scratch.yaml";

#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// A Hugging Face folder with weights or without, `OWNER/NAME`, or a config.json for random ones
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// What to train on: text, or records as .jsonl, .parquet, or tokens as .bin
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// How conversations are written, if the model's folder does not say: a Jinja file
    #[arg(long, value_name = "FILE")]
    pub(crate) chat_template: Option<PathBuf>,
    /// Pipeline ranks
    #[arg(long, value_name = "P", default_value_t = 2, value_parser = ranks)]
    pub(crate) pp: usize,
    /// Memory of a rank, in 10^9 bytes, which the run is to fit in
    #[arg(long, value_name = "GB", value_parser = positive)]
    pub(crate) memory: Option<f64>,
    /// The recipe to write; no file is overwritten
    #[arg(short, long, value_name = "FILE", default_value = "recipe.yaml")]
    pub(crate) output: PathBuf,
}

/// Ranks are threads of one process; comparing schedules of many more takes long.
const MAX_RANKS: usize = 64;

fn ranks(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(ranks @ 1..=MAX_RANKS) => Ok(ranks),
        _ => Err(format!("a number from 1 to {MAX_RANKS} is needed")),
    }
}
