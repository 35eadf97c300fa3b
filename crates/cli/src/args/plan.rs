//! `autopipe plan`: from a recipe, or from a model and a few numbers.

use std::path::PathBuf;

use autopipe::{ParameterBytes, Split};
use autopipe_config::{DType, Rounding};

pub(super) const EXAMPLES: &str = "\
Nothing is trained and no weights are read: a model's config.json is enough.

Examples:
  autopipe plan examples/quickstart.yaml
  autopipe plan examples/quickstart.yaml --set distributed.pp_size=4 --json
  autopipe plan --model models/llama --pp 8 --schedule interleaved1f1b --batch 32 --seq 4096
  autopipe plan --model models/llama --pp 4 --batch 32 --seq 4096 --split balanced -o split.svg";

#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    /// The recipe of a training run, a YAML or JSON file
    #[arg(value_name = "RECIPE", required_unless_present = "model", conflicts_with_all = ["model", "Ask"])]
    pub(crate) recipe: Option<PathBuf>,
    /// Set a value of the recipe, such as distributed.pp_size=4; may be repeated
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "model")]
    pub(crate) set: Vec<String>,
    #[command(flatten)]
    pub(crate) ask: Ask,
    #[command(flatten)]
    pub(crate) machine: Machine,
    /// Write a picture of the split to a file: .svg, or .dot for Graphviz
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,
    /// Print the plan as JSON
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// What a recipe would say.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Instead of a recipe")]
#[group(id = "Ask", multiple = true)]
pub(crate) struct Ask {
    /// A Hugging Face folder, or a config.json
    #[arg(long, value_name = "DIR", requires_all = ["batch", "seq"])]
    pub(crate) model: Option<PathBuf>,
    /// Pipeline ranks [default: 1]
    #[arg(long, value_name = "P", requires = "model")]
    pub(crate) pp: Option<usize>,
    /// Data-parallel ranks, which share out the parameters [default: 1]
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) dp: Option<usize>,
    /// Tensor-parallel ranks [default: 1]
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) tp: Option<usize>,
    /// Context-parallel ranks [default: 1]
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) cp: Option<usize>,
    /// The schedule's name [default: 1f1b]
    #[arg(long, value_name = "NAME", requires = "model")]
    pub(crate) schedule: Option<String>,
    /// A schedule as a table in torch's CSV, which then decides instead of a name
    #[arg(long, value_name = "FILE", requires = "model", conflicts_with = "schedule")]
    pub(crate) schedule_csv: Option<String>,
    /// Samples of a step of one pipeline
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) batch: Option<usize>,
    /// Samples of a microbatch [default: 1]
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) microbatch: Option<usize>,
    /// Tokens of a sample
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) seq: Option<usize>,
    /// Layers that a stage should hold; sets the number of stages only
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) layers_per_stage: Option<usize>,
    /// Up or down, if that number does not fit the ranks
    #[arg(long, value_name = "WAY", requires = "layers_per_stage")]
    pub(crate) round: Option<Rounding>,
    /// The type of weights and activations [default: the model's own]
    #[arg(long, value_name = "TYPE", requires = "model")]
    pub(crate) dtype: Option<DType>,
    /// How layers are shared out: even, even:FIRST,LAST with weights for the embedding and the head,
    /// balanced, or a layout such as Ett|tt|ttL [default: even]
    #[arg(long, value_name = "WAY", requires = "model")]
    pub(crate) split: Option<Split>,
}

/// What a rank is.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "The machine")]
pub(crate) struct Machine {
    /// Operations per second that a rank sustains, in 10^12; times are then in seconds
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    pub(crate) tflops: Option<f64>,
    /// Bytes per second between two ranks, in 10^9 [default: messages take no time]
    #[arg(long, value_name = "GB/S", value_parser = positive, requires = "tflops")]
    pub(crate) bandwidth: Option<f64>,
    /// Memory of a rank, in 10^9 bytes
    #[arg(long, value_name = "GB", value_parser = positive)]
    pub(crate) memory: Option<f64>,
    /// Bytes of a parameter, of its gradient and of what the optimizer remembers of it, such as
    /// 2,2,12 [default: the type's, 4 and 8]
    #[arg(long, value_name = "W,G,O", value_parser = bytes)]
    pub(crate) bytes: Option<ParameterBytes>,
}

pub(super) fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    // Far beyond any machine, and so that what is computed stays a number.
    if (1e-6..=1e12).contains(&number) {
        Ok(number)
    } else {
        Err(format!("{text} is out of range, the number must be from 1e-6 to 1e12"))
    }
}

fn bytes(text: &str) -> Result<ParameterBytes, String> {
    let parts: Vec<Option<usize>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    match parts[..] {
        [Some(weight @ ..=64), Some(gradient @ ..=64), Some(optimizer @ ..=64)] => {
            Ok(ParameterBytes { weight, gradient, optimizer })
        }
        _ => Err("three numbers from 0 to 64 are needed, such as 2,2,12".to_owned()),
    }
}
