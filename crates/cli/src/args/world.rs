//! The place of a process among several, told by whoever starts it.

use autopipe_trainer::tcp::Master;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct World {
    /// This process's number among those of the run, counted from 0
    #[arg(long, value_name = "N", requires_all = ["world_size", "master"], help_heading = "Processes over TCP")]
    pub(crate) rank: Option<usize>,
    /// How many processes the run has
    #[arg(long, value_name = "N", requires_all = ["rank", "master"], help_heading = "Processes over TCP")]
    pub(crate) world_size: Option<usize>,
    /// Where rank 0 listens, the same for all processes; MASTER_ADDR and MASTER_PORT, where they are
    /// set and not torchrun's own, have to say the same
    #[arg(long, value_name = "HOST:PORT", help_heading = "Processes over TCP")]
    pub(crate) master: Option<Master>,
}
