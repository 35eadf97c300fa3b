//! `autopipe bench`: how fast a pipeline trains on this machine.

mod text;

use std::num::NonZeroUsize;

use autopipe_trainer::ThreadOptions;
use autopipe_trainer::bench::{Options, bench};

use crate::args::Bench;
use crate::model::model_source;
use crate::output;
use crate::threads;

/// `autopipe bench`.
///
/// # Errors
/// If anything is wrong with the model or the sizes, or a step fails.
pub(crate) fn run(args: &Bench) -> anyhow::Result<()> {
    let options = Options {
        model: model_source(&args.model)?,
        pp_size: args.pp,
        schedule: args.schedule,
        stages_per_rank: args.stages_per_rank,
        split: args.split.clone(),
        batch_size: args.batch,
        microbatch_size: args.microbatch,
        seq_len: args.seq,
        num_steps: args.steps,
        num_warmup_steps: args.warmup,
        seed: args.seed,
        dtype: args.dtype,
        device: args.device,
    };
    let ranks = ThreadOptions {
        threads_per_rank: args.threads.and_then(|num| NonZeroUsize::new(num.into())),
        ..ThreadOptions::default()
    };
    threads::keep_memory();
    threads::tell_candle(ranks.num_threads(options.pp_size));
    let report = bench(&options, &ranks)?;
    if report.versions.build == "debug" {
        output::warning("this is a debug build, whose figures say little; build with --release");
    }
    let text = if args.json {
        format!("{:#}\n", serde_json::to_value(&report)?)
    } else {
        text::text(&report)
    };
    output::result(&text)
}
