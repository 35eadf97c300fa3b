//! `autopipe train`: reads the recipe, runs it, and shows what happens.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use autopipe_config::Recipe;
use autopipe_trainer::{
    Event, Finished, ProcessProblem, ProcessWorld, Stop, ThreadOptions, TrainError, TrainOptions,
    mpi, num_ranks, tcp, train, train_in,
};

use crate::args::Train;
use crate::hub;
use crate::interrupt::{self, INTERRUPTED};
use crate::output;
use crate::progress::Progress;
use crate::recipe;
use crate::seat::{Process, Seat, Way};
use crate::threads;

/// How long a process that leaves the word to another stays: what starts processes ends all others when one
/// has ended badly, and that one has to come to say it.
const SILENCE: Duration = Duration::from_secs(1);

/// `autopipe train RECIPE`. Whoever has interrupted it is told so by the exit code.
///
/// # Errors
/// If the recipe cannot be read, is wrong, or its run fails.
pub(crate) fn run(args: &Train) -> anyhow::Result<ExitCode> {
    let process = Process::find(args.launch, &args.world, &variable)?;
    let recipe = match read(args, process.as_ref()) {
        // The others of this machine have the same recipe, and the same is wrong with it.
        Err(_) if process.as_ref().is_some_and(|process| !process.speaks()) => {
            thread::park_timeout(SILENCE);
            return Ok(ExitCode::FAILURE);
        }
        read => read?,
    };
    threads::keep_memory();
    let trace_step = args.trace.map(usize::try_from).transpose()?;
    let stop = Stop::default();
    let threads = ThreadOptions {
        threads_per_rank: args.threads_per_rank.and_then(|num| NonZeroUsize::new(num.into())),
        timeout: Duration::from_secs(args.timeout),
    };
    let options = TrainOptions {
        threads,
        resume: args.resume,
        trace_step,
        device: args.device,
        nccl: args.nccl,
        // NCCL reads it, too.
        nccl_shares_gpus: variable("NCCL_MULTI_RANK_GPU_ENABLE").is_some_and(|told| told == "1"),
        local_rank: process.as_ref().and_then(|process| process.seat.local_rank),
        stop: stop.clone(),
    };
    let progress = Progress::new();
    let observe = |event: Event| progress.show(event);
    let finished = match process {
        None => {
            let options = sharing(options, |threads| threads.num_threads(num_ranks(&recipe)));
            threads::tell_candle(options.threads.num_threads(1));
            interrupt::listen(stop, None)?;
            train(&recipe, &options, &observe)?
        }
        Some(process) => match in_world(&process, &recipe, options, &observe)? {
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

fn read(args: &Train, process: Option<&Process>) -> anyhow::Result<Recipe> {
    let mut recipe = recipe::read(&args.recipe, &args.set)?;
    // Before anybody waits for processes that are too few or too many; but what no run has is told first.
    let has_other_axes = recipe.distributed.cp_size > 1 || recipe.distributed.ep_size > 1;
    let (wanted, started) = (num_ranks(&recipe), process.map(|process| process.seat.world_size));
    if let Some(started) = started.filter(|&started| started != wanted && !has_other_axes) {
        bail!(ProcessProblem::Number { wanted, started });
    }
    hub::resolve_recipe(&mut recipe)?;
    Ok(recipe)
}

fn code(finished: &Finished) -> ExitCode {
    if finished.is_stopped { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line is the one reader of the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The same with so many threads for each rank.
fn sharing(
    options: TrainOptions,
    num_threads: impl FnOnce(&ThreadOptions) -> NonZeroUsize,
) -> TrainOptions {
    let threads_per_rank = Some(num_threads(&options.threads));
    TrainOptions { threads: ThreadOptions { threads_per_rank, ..options.threads }, ..options }
}

/// How long a process may give no sign of life. One that is waited for is given up after the timeout,
/// with what was waited for: on a busy machine a short one is no time for a sign.
fn allowed_silence(timeout: Duration) -> Duration {
    timeout.clamp(Duration::from_secs(5), Duration::from_secs(60))
}

/// Joins the world of several processes, each with its threads.
fn join(process: &Process, options: &mut TrainOptions) -> anyhow::Result<ProcessWorld> {
    let Seat { rank, world_size, local_size, .. } = process.seat;
    let share = |threads: &ThreadOptions, here| threads.num_threads_of_process(here);
    let world = match &process.way {
        Way::Mpi => {
            // Before MPI starts threads of its own.
            let here = local_size.unwrap_or(world_size);
            *options = sharing(options.clone(), |threads| share(threads, here));
            threads::tell_candle(options.threads.num_threads(1));
            let (threads, silence) = (options.threads, allowed_silence(options.threads.timeout));
            mpi::world(&mpi::MpiOptions { threads, silence, ..mpi::MpiOptions::default() })
        }
        Way::Tcp(master) => {
            if let Some(here) = local_size {
                *options = sharing(options.clone(), |threads| share(threads, here));
            }
            let defaults = tcp::TcpOptions::new(rank, world_size, master.clone());
            let (threads, silence) = (options.threads, allowed_silence(options.threads.timeout));
            let world = tcp::world(&tcp::TcpOptions { threads, silence, ..defaults });
            // Who shares the machine is known only now.
            world.inspect(|world| threads::tell_candle(world.num_threads()))
        }
    };
    world.context("this process is one of several")
}

/// Trains as one of several processes. The first of them tells what has come of it; the others, and
/// whoever has failed and has told why, have nothing more to do than to end.
fn in_world(
    process: &Process,
    recipe: &Recipe,
    mut options: TrainOptions,
    observe: &(dyn Fn(Event) + Sync),
) -> anyhow::Result<Result<Finished, ExitCode>> {
    let world = join(process, &mut options)?;
    let (rank, watch) = (world.rank(), world.watch());
    interrupt::listen(options.stop.clone(), Some(watch.clone()))?;
    let mut is_told = false;
    let finished = train_in(world, recipe, &options, observe, |error: &TrainError| {
        is_told = true;
        output::message(&format!("error: {error}"));
    });
    Ok(match finished {
        Ok(finished) if rank == 0 => Ok(finished),
        // mpirun ends those that are still at it when one has an exit code of its own.
        Ok(_) => Err(ExitCode::SUCCESS),
        Err(error) => {
            // What is wrong before the beginning, one tells for all, if it can and all hear it.
            let is_of_all = matches!(error, TrainError::Prepare(_))
                && watch.lost().is_empty()
                && !process.has_own_reader();
            if !is_told && !is_of_all {
                let waited = watch.interrupted();
                let waited = waited.map(|waiting| format!(", having waited for {waiting}"));
                output::message(&format!(
                    "rank {rank} ends{}: {error}",
                    waited.unwrap_or_default()
                ));
            }
            Err(ExitCode::FAILURE)
        }
    })
}
