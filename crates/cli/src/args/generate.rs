//! `autopipe generate`: what a model goes on with, and how.

use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
What follows the prompt is printed as it comes, the likeliest token at each place unless there is a
temperature. A model without a tokenizer.json reads and writes bytes, as a training run has it.

Examples:
  autopipe generate --model models/llama --prompt \"Once upon a time\"
  autopipe generate --model models/llama --prompt \"fn main\" --temperature 0.8 --top-p 0.95";

#[derive(Debug, clap::Args)]
pub(crate) struct GenerateText {
    /// A Hugging Face folder with weights, such as a checkpoint of `autopipe train`, or `OWNER/NAME`
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// A folder of adapters to the model, such as a checkpoint of a run with `peft`
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// The text to go on with
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: String,
    /// How many tokens follow at most
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) max_new_tokens: usize,
    /// Draw tokens by their probabilities: above 1 more evenly, below 1 the likelier ones
    #[arg(long, value_name = "T")]
    pub(crate) temperature: Option<f64>,
    /// Draw from the K likeliest tokens only
    #[arg(long, value_name = "K", requires = "temperature")]
    pub(crate) top_k: Option<usize>,
    /// Draw from the likeliest tokens that together have the probability P only
    #[arg(long, value_name = "P", requires = "temperature")]
    pub(crate) top_p: Option<f64>,
    /// What draws depend on [default: 0]
    #[arg(long, value_name = "N", requires = "temperature")]
    pub(crate) seed: Option<u64>,
    /// Threads to compute with [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Say afterwards how many tokens there were, how fast they came and why they ended
    #[arg(long, short)]
    pub(crate) verbose: bool,
}
