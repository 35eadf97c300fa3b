//! `autopipe train`: reads the recipe, runs it, and shows what happens.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use autopipe_config::Recipe;
use autopipe_trainer::{
    Event, Finished, Stop, ThreadOptions, TrainError, TrainOptions, mpi, num_ranks, train, train_in,
};

use crate::args::{Launch, Train};
use crate::hub;
use crate::interrupt::{self, INTERRUPTED};
use crate::output;
use crate::progress::Progress;
use crate::recipe;
use crate::seat::Seat;
use crate::threads;

/// `autopipe train RECIPE`. Whoever has interrupted it is told so by the exit code.
///
/// # Errors
/// If the recipe cannot be read, is wrong, or its run fails.
pub(crate) fn run(args: &Train) -> anyhow::Result<ExitCode> {
    let mut recipe = recipe::read(&args.recipe, &args.set)?;
    hub::resolve_recipe(&mut recipe)?;
    let seat = process(args.launch)?;
    let ranks = ThreadOptions {
        threads_per_rank: args.threads_per_rank.and_then(|num| NonZeroUsize::new(num.into())),
        timeout: Duration::from_secs(args.timeout),
    };
    let ranks = with_threads(ranks, &recipe, seat);
    threads::keep_memory();
    threads::tell_candle(ranks.num_threads(1));
    let trace_step = args.trace.map(usize::try_from).transpose()?;
    let stop = Stop::default();
    let options =
        TrainOptions { threads: ranks, resume: args.resume, trace_step, stop: stop.clone() };
    let progress = Progress::new();
    let observe = |event: Event| progress.show(event);
    let finished = match seat {
        None => {
            interrupt::listen(stop, None)?;
            train(&recipe, &options, &observe)?
        }
        Some(_) => match in_world(ranks, &recipe, &options, stop, &observe)? {
            Ok(finished) => finished,
            Err(code) => return Ok(code),
        },
    };
    match &finished.checkpoint {
        Some(path) => output::result(&format!("checkpoint  {}\n", path.display()))?,
        // An evaluation alone has told its loss.
        None if recipe.step_scheduler.max_steps == 0 => {}
        None if recipe.checkpoint.enabled => output::message("no step was left to take"),
        None => output::result("no checkpoint was saved: checkpoint.enabled is false\n")?,
    }
    Ok(code(&finished))
}

fn code(finished: &Finished) -> ExitCode {
    if finished.is_stopped { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS }
}

/// Whether this process is one of several, and which.
fn process(launch: Launch) -> anyhow::Result<Option<Seat>> {
    if launch == Launch::Threads {
        return Ok(None);
    }
    let seat = Seat::find(&variable)?.filter(|seat| seat.world_size > 1);
    match (launch, seat) {
        (Launch::Mpi, None) => bail!(
            "nothing has started several processes; put `mpirun -n RANKS` before the command, or leave \
             --launch out for ranks that are threads"
        ),
        (_, Some(seat)) if !seat.launcher.has_mpi => bail!(
            "{} has started {} processes, and processes reach each other by MPI only; start them with \
             mpirun or srun, or one alone, whose ranks are threads (--launch threads)",
            seat.launcher.name,
            seat.world_size
        ),
        (_, seat) => Ok(seat),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line is the one reader of the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The same with as many threads as each rank of this machine is to have.
fn with_threads(options: ThreadOptions, recipe: &Recipe, seat: Option<Seat>) -> ThreadOptions {
    let ranks_here =
        seat.map_or(num_ranks(recipe), |seat| seat.local_size.unwrap_or(seat.world_size));
    ThreadOptions { threads_per_rank: Some(options.num_threads(ranks_here)), ..options }
}

/// Trains as one of the processes that MPI has started. The first of them tells what has come of it; the
/// others, and whoever has failed and has told why, have nothing more to do than to end.
fn in_world(
    ranks: ThreadOptions,
    recipe: &Recipe,
    options: &TrainOptions,
    stop: Stop,
    observe: &(dyn Fn(Event) + Sync),
) -> anyhow::Result<Result<Finished, ExitCode>> {
    let world = mpi::world(&mpi::MpiOptions { threads: ranks, ..mpi::MpiOptions::default() });
    let world = world.context("this process is one of several")?;
    let rank = world.rank();
    interrupt::listen(stop, Some(world.watch()))?;
    let mut is_told = false;
    let finished = train_in(world, recipe, options, observe, |error: &TrainError| {
        is_told = true;
        output::message(&format!("error: {error}"));
    });
    Ok(match finished {
        Ok(finished) if rank == 0 => Ok(finished),
        // mpirun ends those that are still at it when one has an exit code of its own.
        Ok(_) => Err(ExitCode::SUCCESS),
        Err(error) => {
            // What is wrong before the beginning, one tells for all.
            let is_of_all = matches!(error, TrainError::Prepare(_));
            if !is_told && !is_of_all {
                output::message(&format!("rank {rank} ends: {error}"));
            }
            Err(ExitCode::FAILURE)
        }
    })
}
