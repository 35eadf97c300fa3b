//! `autopipe bench`: what is measured.

use std::path::PathBuf;

use autopipe::Split;
use autopipe_config::DType;
use autopipe_schedule::Kind;
use autopipe_trainer::DeviceChoice;

pub(super) const EXAMPLES: &str = "\
Tokens are random, and so are the weights of a config.json alone: speed is all that is measured.
A step clears gradients, sends the batch through the pipeline and updates all weights with AdamW.

Examples:
  autopipe bench --model models/llama --pp 2 --batch 8 --seq 256
  autopipe bench --model models/llama --pp 2 --batch 8 --seq 256 --schedule zbv --json
  autopipe bench --model models/llama --pp 2 --batch 8 --seq 256 --dtype bf16
  autopipe bench --model models/llama --pp 1 --batch 8 --seq 256 --threads 2 --steps 3";

#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// A Hugging Face folder, with or without weights, or `OWNER/NAME`, or a config.json
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Pipeline ranks; 1 is the model unsplit
    #[arg(long, value_name = "P")]
    pub(crate) pp: usize,
    /// The schedule's name, such as 1f1b, interleaved1f1b or zbv
    #[arg(long, value_name = "NAME", default_value = "1f1b")]
    pub(crate) schedule: Kind,
    /// Stages on each rank [default: 1, or 2 if the schedule is for several]
    #[arg(long, value_name = "V")]
    pub(crate) stages_per_rank: Option<usize>,
    /// How layers are shared out: even, even:FIRST,LAST with weights for the embedding and the head,
    /// balanced, or a layout such as Ett|tt|ttL
    #[arg(long, value_name = "WAY", default_value_t)]
    pub(crate) split: Split,
    /// Samples of a step
    #[arg(long, value_name = "N")]
    pub(crate) batch: usize,
    /// Samples of a microbatch
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) microbatch: usize,
    /// Tokens of a sample
    #[arg(long, value_name = "N")]
    pub(crate) seq: usize,
    /// Steps to measure
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) steps: usize,
    /// Steps before them, which are not measured
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) warmup: usize,
    /// Threads that each rank computes with [default: an even share of the cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// What random weights and tokens depend on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// What ranks compute on: cpu, cuda, or auto, which is GPUs where this build and the machine have
    /// some
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub(crate) device: DeviceChoice,
    /// The type of weights and activations
    #[arg(long, value_name = "TYPE", default_value = "float32")]
    pub(crate) dtype: DType,
    /// Print the figures as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
