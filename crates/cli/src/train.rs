//! `autopipe train`: reads the recipe, runs it, and shows what happens.

use std::num::NonZeroUsize;
use std::time::Duration;

use autopipe_trainer::{ThreadOptions, train};

use crate::args::Train;
use crate::hub;
use crate::output;
use crate::progress::Progress;
use crate::recipe;
use crate::threads;

/// `autopipe train RECIPE`.
///
/// # Errors
/// If the recipe cannot be read, is wrong, or its run fails.
pub(crate) fn run(args: &Train) -> anyhow::Result<()> {
    let mut recipe = recipe::read(&args.recipe, &args.set)?;
    hub::resolve_recipe(&mut recipe)?;
    let options = ThreadOptions {
        threads_per_rank: args.threads_per_rank.and_then(|num| NonZeroUsize::new(num.into())),
        timeout: Duration::from_secs(args.timeout),
    };
    threads::keep_memory();
    threads::tell_candle(options.num_threads(recipe.distributed.pp_size));
    let progress = Progress::new();
    let finished = train(&recipe, &options, &|event| progress.show(event))?;
    match finished.checkpoint {
        Some(path) => output::result(&format!("checkpoint  {}\n", path.display())),
        None => output::result("no checkpoint was saved: checkpoint.enabled is false\n"),
    }
}
