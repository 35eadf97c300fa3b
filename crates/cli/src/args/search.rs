//! The options of `autopipe schedule search`.

use std::str::FromStr;

use autopipe_schedule::search::Problem;

use super::{CostsArgs, Write};

#[derive(Debug, clap::Args)]
pub(crate) struct Search {
    /// Pipeline ranks
    #[arg(long, value_name = "P")]
    pub(crate) pp: usize,
    /// Microbatches of a step
    #[arg(long, value_name = "M")]
    pub(crate) microbatches: usize,
    /// Stages on each rank: 1, or 2 that go there and back
    #[arg(long, value_name = "V", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(crate) stages_per_rank: u8,
    /// How many activations a rank may hold, each of one stage and microbatch: a number, or a
    /// multiple of what 1F1B holds at most, as in 1p or 1.5p
    #[arg(long, value_name = "LIMIT", default_value = "1p")]
    pub(crate) memory: MemoryLimit,
    /// How long to search, in actions that may be timed
    #[arg(long, value_name = "N", default_value_t = Problem::EFFORT)]
    pub(crate) effort: u64,
    #[command(flatten)]
    pub(crate) costs: CostsArgs,
    /// Print the figures as JSON, and the schedule only to --output
    #[arg(long, help_heading = "Output", conflicts_with_all = ["format", "color"])]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) write: Write,
}

/// How many activations a rank may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum MemoryLimit {
    /// So many, each of one stage and microbatch.
    Activations(f64),
    /// So many for each rank of the pipeline and each stage of a rank.
    TimesRanks(f64),
}

impl FromStr for MemoryLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, limit): (&str, fn(f64) -> Self) = match text.strip_suffix(['p', 'P']) {
            Some(number) => (number, Self::TimesRanks),
            None => (text, Self::Activations),
        };
        let number =
            number.trim().parse().ok().filter(|&value: &f64| value > 0.0 && value.is_finite());
        number.map(limit).ok_or_else(|| {
            format!("`{text}` is no number of activations as 8, nor a multiple of 1F1B's as 1p")
        })
    }
}
