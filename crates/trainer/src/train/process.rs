//! A run whose ranks are processes: this one is one of them.

use std::path::PathBuf;

use autopipe::{Cause, Communicator, ProcessWorld, RankError};
use autopipe_config::Recipe;

use super::from_recipe::num_ranks;
use super::job::{Here, Job};
use super::rank::RankRun;
use super::{Finished, TrainError, TrainOptions};
use crate::{Error, Event, Stopwatch};

/// Why processes cannot be the ranks of one run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessProblem {
    /// Processes of one run that would do different things.
    #[error(
        "rank {rank} and rank 0 differ in the recipe, the options or the checkpoint to go on from; start \
         all with the same command over the same files"
    )]
    Unequal {
        /// The first that differs.
        rank: usize,
    },
    /// A run's folder that is another one for this process.
    #[error(
        "`{}` is not the folder that rank 0 writes to; use one on a file system that all hosts share",
        root.display()
    )]
    NotShared {
        /// The run's folder.
        root: PathBuf,
    },
    /// More or fewer processes than ranks.
    #[error(
        "the recipe is for {wanted} ranks, and {started} processes were started; start {wanted}, or set \
         `distributed.pp_size`, `dp_size` and `tp_size` so that their product is {started}"
    )]
    Number {
        /// Ranks of the recipe.
        wanted: usize,
        /// Processes of the world.
        started: usize,
    },
}

/// Trains as [`train`](super::train) does, as one rank of a world of processes: every one of them calls
/// this with the same recipe, over files that all can read and a run folder that all can write to.
/// Events are told on rank 0. Of the options, those of threads are the world's.
///
/// When this rank is the first to fail, `tell` is given the error before any process ends: what starts
/// processes ends all when one has ended badly, maybe before it can say why.
///
/// # Errors
/// As [`train`](super::train); of the ranks that another's failure has stopped, that.
pub fn train_in(
    world: ProcessWorld,
    recipe: &Recipe,
    options: &TrainOptions,
    observe: &(dyn Fn(Event) + Sync),
    tell: impl FnOnce(&TrainError),
) -> Result<Finished, TrainError> {
    let stopwatch = Stopwatch::start();
    let rank = world.rank();
    let body = |comm: Box<dyn Communicator>| {
        let job = prepared(recipe, options, &*comm)?;
        if rank == 0 {
            observe(job.planned());
            job.resumed().map(observe);
        }
        let run = RankRun::new(&job, comm, observe).and_then(RankRun::run);
        run.map_err(|error| {
            TrainError::Rank(RankError { rank, cause: Box::new(Cause::Error(error)) })
        })
    };
    let told = |error: &RankError<TrainError>| match &*error.cause {
        Cause::Error(error) => tell(error),
        Cause::Panic(words) => tell(&of(error.rank, Cause::Panic(words.clone()))),
        Cause::Start(words) => tell(&of(error.rank, Cause::Start(words.clone()))),
        Cause::Elsewhere(words) => tell(&of(error.rank, Cause::Elsewhere(words.clone()))),
    };
    let finished = world.run(body, told).map_err(|RankError { rank, cause }| match *cause {
        Cause::Error(error) => error,
        Cause::Panic(words) => of(rank, Cause::Panic(words)),
        Cause::Start(words) => of(rank, Cause::Start(words)),
        Cause::Elsewhere(words) => of(rank, Cause::Elsewhere(words)),
    })?;
    if rank == 0 {
        observe(finished.told(&stopwatch));
    }
    Ok(finished)
}

fn of(rank: usize, cause: Cause<Error>) -> TrainError {
    TrainError::Rank(RankError { rank, cause: Box::new(cause) })
}

/// What this rank has found right before anything begins, when all others have as well, and the same.
fn prepared<'a>(
    recipe: &'a Recipe,
    options: &'a TrainOptions,
    world: &dyn Communicator,
) -> Result<Job<'a>, TrainError> {
    let one = |problem: Error| TrainError::Prepare(vec![problem]);
    let failed = |error| one(autopipe::Error::from(error).into());
    let here = Here::Rank(world.rank());
    let mut job = Job::prepare(recipe, options, here).map_err(TrainError::Prepare)?;
    let (wanted, started) = (num_ranks(recipe), world.size());
    if wanted != started {
        return Err(one(ProcessProblem::Number { wanted, started }.into()));
    }
    // Nobody looks for a run in a folder that another has just opened for this one.
    let all = world.all_gather_text(&job.fingerprint()).map_err(failed)?;
    if let Some(rank) = all.iter().position(|other| *other != all[0]) {
        return Err(one(ProcessProblem::Unequal { rank }.into()));
    }
    let mark = if world.rank() == 0 {
        job.open_run_dir().and_then(|()| job.mark_run_dir()).map_err(one)?
    } else {
        String::new()
    };
    let mark = world.all_gather_text(&mark).map_err(failed)?.swap_remove(0);
    if world.rank() != 0 {
        job.enter_run_dir(&mark).map_err(one)?;
    }
    world.barrier().map_err(failed)?;
    if world.rank() == 0 {
        job.unmark_run_dir(&mark);
    }
    Ok(job)
}
