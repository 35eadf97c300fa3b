//! `autopipe train`: reads the recipe, runs it, and shows what happens.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use autopipe_trainer::{Stop, ThreadOptions, TrainOptions, train};

use crate::args::Train;
use crate::hub;
use crate::interrupt::{self, INTERRUPTED};
use crate::output;
use crate::progress::Progress;
use crate::recipe;
use crate::threads;

/// `autopipe train RECIPE`. Whoever has interrupted it is told so by the exit code.
///
/// # Errors
/// If the recipe cannot be read, is wrong, or its run fails.
pub(crate) fn run(args: &Train) -> anyhow::Result<ExitCode> {
    let mut recipe = recipe::read(&args.recipe, &args.set)?;
    hub::resolve_recipe(&mut recipe)?;
    let ranks = ThreadOptions {
        threads_per_rank: args.threads_per_rank.and_then(|num| NonZeroUsize::new(num.into())),
        timeout: Duration::from_secs(args.timeout),
    };
    threads::keep_memory();
    threads::tell_candle(ranks.num_threads(recipe.distributed.pp_size));
    let stop = Stop::default();
    interrupt::listen(stop.clone())?;
    let trace_step = args.trace.map(usize::try_from).transpose()?;
    let options = TrainOptions { threads: ranks, resume: args.resume, trace_step, stop };
    let progress = Progress::new();
    let finished = train(&recipe, &options, &|event| progress.show(event))?;
    match finished.checkpoint {
        Some(path) => output::result(&format!("checkpoint  {}\n", path.display()))?,
        None if recipe.checkpoint.enabled => output::message("no step was left to take"),
        None => output::result("no checkpoint was saved: checkpoint.enabled is false\n")?,
    }
    Ok(if finished.is_stopped { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}
