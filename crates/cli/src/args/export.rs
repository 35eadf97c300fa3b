//! `autopipe export`: what is written anew, and as what.

use std::path::PathBuf;

use autopipe_config::DType;

pub(super) const EXAMPLES: &str = "\
The weights go into one file, beside the config and the tokenizer, as transformers loads them.

Examples:
  autopipe export --model models/llama --adapter adapters --output merged
  autopipe export --model models/llama --dtype bf16 --output half";

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// A Hugging Face folder with weights, such as a checkpoint of `autopipe train`, or `OWNER/NAME`
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// A folder of adapters to merge into them, such as a checkpoint of a run with `peft`
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// The folder to make; it appears when it is whole, and takes no other's place
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// The type to write weights in: float32, bfloat16 or float16 [default: their own]
    #[arg(long, value_name = "TYPE")]
    pub(crate) dtype: Option<DType>,
}
