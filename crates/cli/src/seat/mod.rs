//! Which place among several processes this one was given by whatever started it, and how they reach
//! each other.

use anyhow::bail;
use autopipe_trainer::tcp::Master;

use crate::args::{Launch, World};

mod launcher;
mod master;
#[cfg(test)]
mod tests;

use launcher::{FLAGS, Launcher, OPEN_MPI, PMI, SLURM, TORCHRUN};

/// What PMIx tells a process that it has started.
const PMIX_RANK: &str = "PMIX_RANK";

/// What tells the value of a variable.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A process's place in a world of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// What says so.
    launcher: Launcher,
    pub(crate) rank: usize,
    pub(crate) world_size: usize,
    /// This process's number among those of its machine, if that is told.
    pub(crate) local_rank: Option<usize>,
    /// Processes of the world on this machine, if that is told.
    pub(crate) local_size: Option<usize>,
}

/// How the processes of a world reach each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Mpi,
    Tcp(Master),
}

/// One of several processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) seat: Seat,
    pub(crate) way: Way,
}

impl Process {
    /// What this process is among several; `None` if it is the only one, whose ranks are threads.
    ///
    /// # Errors
    /// If what it was told is contradictory or not enough.
    pub(crate) fn find(
        launch: Launch,
        flags: &World,
        variable: Variable<'_>,
    ) -> anyhow::Result<Option<Self>> {
        let has_flags = flags.rank.is_some() || flags.master.is_some();
        match launch {
            Launch::Threads | Launch::Mpi if has_flags => bail!(
                "--rank, --world-size and --master are for processes that reach each other over TCP; \
                 leave them out, or --launch"
            ),
            Launch::Threads => return Ok(None),
            Launch::Auto | Launch::Mpi | Launch::Tcp => {}
        }
        let found = Seat::find(flags, variable)?;
        // PMIx alone tells a rank and no size; those that start processes by it tell both in another way.
        if let (None, Some(rank)) = (found, variable(PMIX_RANK)) {
            bail!(
                "{PMIX_RANK}={rank} says that this is one of several processes, and nothing says of how many; \
                 start them with mpirun or srun, which do, give --rank, --world-size and --master, or \
                 --launch threads if it is alone"
            );
        }
        if launch != Launch::Mpi && found.is_some_and(|seat| seat.world_size == 1) {
            return Ok(None);
        }
        let seat = found.filter(|seat| seat.world_size > 1);
        let way = match (launch, &seat) {
            (Launch::Mpi, None) => bail!(
                "nothing has started several processes; put `mpirun -n RANKS` before the command, or leave \
                 --launch out for ranks that are threads"
            ),
            (Launch::Mpi, Some(seat)) if !seat.launcher.has_mpi => bail!(
                "{} has started {} processes, of which MPI knows nothing; leave --launch out, so that \
                 they reach each other over TCP, or start them with mpirun or srun",
                seat.launcher.name,
                seat.world_size
            ),
            (Launch::Mpi, Some(_)) => Way::Mpi,
            (Launch::Auto, Some(seat)) if seat.launcher.has_mpi && flags.master.is_none() => {
                Way::Mpi
            }
            (Launch::Auto | Launch::Tcp, Some(_)) => Way::Tcp(master::find(flags, variable)?),
            (Launch::Tcp, None) => return Err(Self::alone("--launch tcp is")),
            (Launch::Auto, None) if flags.master.is_some() && flags.rank.is_none() => {
                return Err(Self::alone("--master is"));
            }
            (Launch::Auto | Launch::Threads, None) => return Ok(None),
            (Launch::Threads, Some(_)) => return Ok(None),
        };
        Ok(seat.map(|seat| Self { seat, way }))
    }

    fn alone(what: &str) -> anyhow::Error {
        anyhow::anyhow!(
            "{what} given, and nothing tells this process its place among several; give --rank, \
             --world-size and --master, or start it with torchrun, mpirun or srun"
        )
    }

    /// Whether somebody has started this process by hand, and looks at what it says and at nothing else.
    pub(crate) fn has_own_reader(&self) -> bool {
        let seat = &self.seat;
        // The variables of torchrun without those that torchrun always sets.
        let is_shell = seat.launcher == TORCHRUN && seat.local_rank.is_none();
        seat.launcher == FLAGS || is_shell
    }

    /// Whether it is this process that says what all those of its machine have found alike.
    pub(crate) fn speaks(&self) -> bool {
        let seat = &self.seat;
        seat.rank == 0 || self.has_own_reader() || seat.local_rank.is_none_or(|rank| rank == 0)
    }
}

impl Seat {
    /// The place that arguments and environment tell of, if they do.
    ///
    /// Arguments, torchrun and MPI have to agree where several of them speak. Slurm counts if nobody else
    /// speaks: it starts the daemons of others, too, whose processes then see the daemon's place.
    ///
    /// # Errors
    /// If a variable is no number, one of two is missing, or two launchers say something else.
    fn find(flags: &World, variable: Variable<'_>) -> anyhow::Result<Option<Self>> {
        let mut seats = Vec::new();
        if let (Some(rank), Some(world_size)) = (flags.rank, flags.world_size) {
            seats.push(FLAGS.place(rank, world_size)?);
        }
        for launcher in [TORCHRUN, OPEN_MPI, PMI] {
            seats.extend(launcher.seat(variable)?);
        }
        let Some(&first) = seats.first() else { return SLURM.seat(variable) };
        for other in &seats {
            let same = (first.rank, first.world_size) == (other.rank, other.world_size);
            if !same {
                let (a, b) = (first.launcher, other.launcher);
                bail!(
                    "{}={} {}={} of {} and {}={} {}={} of {} are not the same place; leave out those of \
                     the one that has not started this process",
                    a.rank,
                    first.rank,
                    a.size,
                    first.world_size,
                    a.name,
                    b.rank,
                    other.rank,
                    b.size,
                    other.world_size,
                    b.name,
                );
            }
        }
        // Whose world MPI finds, if there is one, and nobody has said otherwise.
        let of_mpi = seats.iter().find(|seat| seat.launcher.has_mpi && first.launcher != FLAGS);
        let chosen = of_mpi.copied().unwrap_or(first);
        let local_rank = seats.iter().find_map(|seat| seat.local_rank);
        let local_size = seats.iter().find_map(|seat| seat.local_size);
        Ok(Some(Self {
            local_rank: chosen.local_rank.or(local_rank),
            local_size: chosen.local_size.or(local_size),
            ..chosen
        }))
    }
}
