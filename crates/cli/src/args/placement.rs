//! The options of `autopipe schedule placement`.

use autopipe_schedule::PlacementStyle;

#[derive(Debug, clap::Args)]
pub(crate) struct Placement {
    /// Pipeline ranks
    #[arg(long, value_name = "P")]
    pub(crate) pp: usize,
    /// Stages of all ranks together, a multiple of P
    #[arg(long, value_name = "S")]
    pub(crate) stages: usize,
    /// loop: in turn; v: two stages a rank, there and back; snake: there and back as often as need be
    #[arg(long, value_name = "STYLE")]
    pub(crate) style: PlacementStyle,
    /// Print the stages as JSON, a list of lists
    #[arg(long)]
    pub(crate) json: bool,
}
