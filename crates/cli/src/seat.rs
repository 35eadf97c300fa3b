//! Which place among several processes this one was given by whatever started it.

use anyhow::{Context as _, bail};

/// A process's place in a world of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// What says so.
    pub(crate) launcher: Launcher,
    pub(crate) rank: usize,
    pub(crate) world_size: usize,
    /// Processes of the world on this machine, if that is told.
    pub(crate) local_size: Option<usize>,
}

/// Who starts processes, and by which variables it tells each its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Launcher {
    pub(crate) name: &'static str,
    rank: &'static str,
    size: &'static str,
    local_size: &'static str,
    /// A variable without which the others say something else.
    needs: Option<&'static str>,
    /// Whether MPI finds its world in what it starts.
    pub(crate) has_mpi: bool,
}

const TORCHRUN: Launcher = Launcher {
    name: "torchrun",
    rank: "RANK",
    size: "WORLD_SIZE",
    local_size: "LOCAL_WORLD_SIZE",
    needs: None,
    has_mpi: false,
};

const OPEN_MPI: Launcher = Launcher {
    name: "Open MPI",
    rank: "OMPI_COMM_WORLD_RANK",
    size: "OMPI_COMM_WORLD_SIZE",
    local_size: "OMPI_COMM_WORLD_LOCAL_SIZE",
    needs: None,
    has_mpi: true,
};

const PMI: Launcher = Launcher {
    name: "PMI",
    rank: "PMI_RANK",
    size: "PMI_SIZE",
    local_size: "MPI_LOCALNRANKS",
    needs: None,
    has_mpi: true,
};

/// What a batch script sees without `srun` is about the script.
const SLURM: Launcher = Launcher {
    name: "Slurm",
    rank: "SLURM_PROCID",
    size: "SLURM_NTASKS",
    local_size: "SLURM_TASKS_PER_NODE",
    needs: Some("SLURM_STEP_ID"),
    has_mpi: true,
};

impl Seat {
    /// The place that the environment tells of, if it does.
    ///
    /// torchrun and MPI have to agree where both speak. Slurm counts if nobody else speaks: it starts
    /// the daemons of others, too, whose processes then see the daemon's place.
    ///
    /// # Errors
    /// If a variable is no number, one of two is missing, or two launchers say something else.
    pub(crate) fn find(variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Option<Self>> {
        let mut seats = Vec::new();
        for launcher in [TORCHRUN, OPEN_MPI, PMI] {
            seats.extend(launcher.seat(variable)?);
        }
        let Some(&first) = seats.first() else { return SLURM.seat(variable) };
        for other in &seats {
            let same = (first.rank, first.world_size) == (other.rank, other.world_size);
            if !same {
                let (a, b) = (first.launcher, other.launcher);
                bail!(
                    "{}={} {}={} of {} and {}={} {}={} of {} are not the same place; unset those of \
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
        // Whose world MPI finds, if there is one.
        Ok(seats.iter().find(|seat| seat.launcher.has_mpi).or(Some(&first)).copied())
    }
}

impl Launcher {
    fn seat(self, variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Option<Seat>> {
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
        if rank >= world_size {
            bail!(
                "{}={rank} is no rank of {}={world_size}, which are counted from 0",
                self.rank,
                self.size
            );
        }
        // Slurm writes `2(x3)`: as many on each of several machines.
        let local_size = variable(self.local_size)
            .and_then(|text| text.split(['(', ',']).next()?.trim().parse().ok());
        Ok(Some(Seat { launcher: self, rank, world_size, local_size }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn find(variables: &[(&str, &str)]) -> Result<Option<(&'static str, usize, usize)>, String> {
        let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
        let found = Seat::find(&|name| variables.get(name).map(|text| (*text).to_owned()));
        found
            .map(|seat| seat.map(|seat| (seat.launcher.name, seat.rank, seat.world_size)))
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn each_launcher_is_known_by_its_variables() {
        let torchrun = [("RANK", "1"), ("WORLD_SIZE", "4")];
        let open_mpi = [("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "4")];
        let pmi = [("PMI_RANK", "2"), ("PMI_SIZE", "3")];
        let slurm = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8"), ("SLURM_STEP_ID", "0")];
        assert_eq!(find(&[]), Ok(None));
        assert_eq!(find(&torchrun), Ok(Some(("torchrun", 1, 4))));
        assert_eq!(find(&open_mpi), Ok(Some(("Open MPI", 1, 4))));
        assert_eq!(find(&pmi), Ok(Some(("PMI", 2, 3))));
        assert_eq!(find(&slurm), Ok(Some(("Slurm", 0, 8))));
        assert_eq!(find(&slurm[..2]), Ok(None), "a batch script");
        assert_eq!(find(&[open_mpi, torchrun].concat()), Ok(Some(("Open MPI", 1, 4))));
        let under_slurm = [&open_mpi[..], &slurm].concat();
        assert_eq!(find(&under_slurm), Ok(Some(("Open MPI", 1, 4))), "the daemon's are not ours");
    }

    #[test]
    fn contradictions_name_both_sides() {
        let other = [("RANK", "0"), ("WORLD_SIZE", "4"), ("PMI_RANK", "1"), ("PMI_SIZE", "4")];
        assert_eq!(
            find(&other).unwrap_err(),
            "RANK=0 WORLD_SIZE=4 of torchrun and PMI_RANK=1 PMI_SIZE=4 of PMI are not the same \
             place; unset those of the one that has not started this process"
        );
        assert_eq!(
            find(&[("RANK", "0")]).unwrap_err(),
            "RANK is set and WORLD_SIZE is not; set both"
        );
        assert_eq!(
            find(&[("PMI_SIZE", "2")]).unwrap_err(),
            "PMI_SIZE is set and PMI_RANK is not; set both"
        );
        assert_eq!(
            find(&[("RANK", "4"), ("WORLD_SIZE", "4")]).unwrap_err(),
            "RANK=4 is no rank of WORLD_SIZE=4, which are counted from 0"
        );
        let no_number = find(&[("RANK", "x"), ("WORLD_SIZE", "4")]).unwrap_err();
        assert!(no_number.starts_with("RANK is `x`, and no number"), "{no_number}");
    }

    #[test]
    fn processes_of_a_machine() {
        let local = |text: &'static str| {
            let seat = Seat::find(&|name| {
                let text = match name {
                    "SLURM_PROCID" => "0",
                    "SLURM_NTASKS" => "8",
                    "SLURM_STEP_ID" => "1",
                    "SLURM_TASKS_PER_NODE" => text,
                    _ => return None,
                };
                Some(text.to_owned())
            });
            seat.unwrap().unwrap().local_size
        };
        assert_eq!(
            [local("2(x3)"), local("4,2"), local("8"), local("")],
            [Some(2), Some(4), Some(8), None]
        );
    }
}
