//! `autopipe verify`: what is compared with the unsplit model, and with which batch.

use std::path::PathBuf;
use std::str::FromStr;

use autopipe::Split;
use autopipe_config::{ActivationCheckpointing, DType};
use autopipe_schedule::Kind;

pub(super) const EXAMPLES: &str = "\
The model computes one batch twice, unsplit and split, forward and backward, and nothing is trained.
The exit code is 1 if the loss or a gradient differs by more than the tolerance.

Examples:
  autopipe verify --model models/llama --pp 2 --schedule zbv --microbatches 4
  autopipe verify --model models/llama --pp 2 --microbatches 4 --batch batch.safetensors --json
  autopipe verify --model models/llama --pp 2 --schedule plan.csv --split balanced
  autopipe verify --model models/llama --pp 2 --microbatches 4 --dtype bf16 --recompute full";

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// A Hugging Face folder, or a model of the Hub (`OWNER/NAME`), or a config.json for random weights
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Pipeline ranks; 1 is the model on one rank
    #[arg(long, value_name = "P")]
    pub(crate) pp: usize,
    /// The schedule's name, such as 1f1b, interleaved1f1b or zbv, or a table in torch's CSV, FILE.csv
    #[arg(
        long,
        visible_alias = "schedule-csv",
        value_name = "NAME|FILE.csv",
        default_value = "1f1b"
    )]
    pub(crate) schedule: ScheduleArg,
    /// Stages on each rank [default: 1, or 2 if the schedule is for several]
    #[arg(long, value_name = "V")]
    pub(crate) stages_per_rank: Option<usize>,
    /// How layers are shared out: even, even:FIRST,LAST with weights for the embedding and the head,
    /// balanced, or a layout such as Ett|tt|ttL
    #[arg(long, value_name = "WAY", default_value_t)]
    pub(crate) split: Split,
    /// Microbatches that the batch is cut into; a table has its own number
    #[arg(long, value_name = "M")]
    pub(crate) microbatches: Option<usize>,
    /// The type of weights and activations
    #[arg(long, value_name = "TYPE", default_value = "float32")]
    pub(crate) dtype: DType,
    /// A folder of adapters, which are then trained in place of the model
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// A parameter or module that is not trained, in which * stands for anything; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(crate) freeze: Vec<String>,
    /// Compute layers again for their backward: full is all of them, N every Nth
    #[arg(long, value_name = "full|N", value_parser = recompute)]
    pub(crate) recompute: Option<ActivationCheckpointing>,
    /// By how much loss and gradients may differ, relative to the unsplit ones [default: 1e-4, or
    /// 1e-2 in float16 and 5e-2 in bfloat16]
    #[arg(long, value_name = "T")]
    pub(crate) tolerance: Option<f64>,
    /// Threads that each rank computes with [default: an even share of the cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    #[command(flatten)]
    pub(crate) batch: BatchArgs,
    /// Write the split model's gradients to a safetensors file, by their Hugging Face names
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) grads_out: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

fn recompute(text: &str) -> Result<ActivationCheckpointing, String> {
    match (text, text.parse()) {
        ("full", _) => Ok(ActivationCheckpointing::Full),
        (_, Ok(layers @ 1..)) => Ok(ActivationCheckpointing::Every(layers)),
        _ => Err("`full` or a number from 1 is needed".to_owned()),
    }
}

/// The batch: a file, or the size of a random one.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The batch")]
pub(crate) struct BatchArgs {
    /// A safetensors file with `input_ids` and `labels`, whole numbers of shape [batch, sequence];
    /// labels are aligned with the logits, -100 counts for nothing [default: random tokens]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["batch_size", "seq_len"])]
    pub(crate) batch: Option<PathBuf>,
    /// Samples of a random batch [default: as many as microbatches]
    #[arg(long, value_name = "N")]
    pub(crate) batch_size: Option<usize>,
    /// Tokens of a sample of a random batch [default: 32, or what the model has positions for]
    #[arg(long, value_name = "N")]
    pub(crate) seq_len: Option<usize>,
    /// What random tokens and weights depend on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
}

/// A schedule by its name, or a file that has one.
#[derive(Clone, Debug)]
pub(crate) enum ScheduleArg {
    Name(Kind),
    Table(PathBuf),
}

impl FromStr for ScheduleArg {
    type Err = <Kind as FromStr>::Err;

    /// No name has a folder before it or an ending.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_file = text.to_ascii_lowercase().ends_with(".csv") || text.contains(['/', '\\']);
        if is_file { Ok(Self::Table(text.into())) } else { text.parse().map(Self::Name) }
    }
}
