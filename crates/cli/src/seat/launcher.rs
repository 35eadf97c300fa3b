//! Who starts processes, and by which variables it tells each its place.

use anyhow::{Context as _, bail};

use super::{Seat, Variable};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Launcher {
    pub(super) name: &'static str,
    pub(super) rank: &'static str,
    pub(super) size: &'static str,
    local_rank: &'static str,
    local_size: &'static str,
    /// A variable without which the others say something else.
    needs: Option<&'static str>,
    /// Whether MPI finds its world in what it starts.
    pub(super) has_mpi: bool,
}

/// A person, who has no variables.
pub(super) const FLAGS: Launcher = Launcher {
    name: "the command line",
    rank: "--rank",
    size: "--world-size",
    local_rank: "LOCAL_RANK",
    local_size: "LOCAL_WORLD_SIZE",
    needs: None,
    has_mpi: false,
};

pub(super) const TORCHRUN: Launcher = Launcher {
    name: "torchrun",
    rank: "RANK",
    size: "WORLD_SIZE",
    local_rank: "LOCAL_RANK",
    local_size: "LOCAL_WORLD_SIZE",
    needs: None,
    has_mpi: false,
};

pub(super) const OPEN_MPI: Launcher = Launcher {
    name: "Open MPI",
    rank: "OMPI_COMM_WORLD_RANK",
    size: "OMPI_COMM_WORLD_SIZE",
    local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
    local_size: "OMPI_COMM_WORLD_LOCAL_SIZE",
    needs: None,
    has_mpi: true,
};

pub(super) const PMI: Launcher = Launcher {
    name: "PMI",
    rank: "PMI_RANK",
    size: "PMI_SIZE",
    local_rank: "MPI_LOCALRANKID",
    local_size: "MPI_LOCALNRANKS",
    needs: None,
    has_mpi: true,
};

/// What a batch script sees without `srun` is about the script.
pub(super) const SLURM: Launcher = Launcher {
    name: "Slurm",
    rank: "SLURM_PROCID",
    size: "SLURM_NTASKS",
    local_rank: "SLURM_LOCALID",
    local_size: "SLURM_TASKS_PER_NODE",
    needs: Some("SLURM_STEP_ID"),
    has_mpi: true,
};

impl Launcher {
    /// The place that its variables tell of, if they do.
    pub(super) fn seat(self, variable: Variable<'_>) -> anyhow::Result<Option<Seat>> {
        if self.needs.is_some_and(|needs| variable(needs).is_none()) {
            return Ok(None);
        }
        let number = |name: &str| -> anyhow::Result<Option<usize>> {
            let Some(text) = variable(name) else { return Ok(None) };
            let number = text.trim().parse();
            number.map(Some).with_context(|| format!("{name} is `{text}`, and no number"))
        };
        let (rank, world_size) = match (number(self.rank)?, number(self.size)?) {
            (None, None) => return Ok(None),
            (Some(rank), Some(world_size)) => (rank, world_size),
            (Some(_), None) => bail!("{} is set and {} is not; set both", self.rank, self.size),
            (None, Some(_)) => bail!("{} is set and {} is not; set both", self.size, self.rank),
        };
        let local_rank = number(self.local_rank)?;
        // Slurm writes `2(x3)`: as many on each of several machines.
        let told = variable(self.local_size);
        let first = |text: &String| text.split(['(', ',']).next()?.trim().parse().ok();
        let local_size = told.as_ref().and_then(first);
        let is_of_this_machine = told.is_some_and(|text| text.trim().parse::<usize>().is_ok());
        if let (Some(rank), Some(size)) = (local_rank, local_size)
            && is_of_this_machine
            && rank >= size
        {
            bail!(
                "{}={rank} is none of {}={size} processes of this machine, which are counted from 0",
                self.local_rank,
                self.local_size
            );
        }
        Ok(Some(Seat { local_rank, local_size, ..self.place(rank, world_size)? }))
    }

    pub(super) fn place(self, rank: usize, world_size: usize) -> anyhow::Result<Seat> {
        if rank >= world_size {
            bail!(
                "{}={rank} is no rank of {}={world_size}, which are counted from 0",
                self.rank,
                self.size
            );
        }
        Ok(Seat { launcher: self, rank, world_size, local_rank: None, local_size: None })
    }
}
