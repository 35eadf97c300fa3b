//! `autopipe verify`: whether a model that is split computes what it computes unsplit.

mod text;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use autopipe_trainer::ThreadOptions;
use autopipe_trainer::verify::{BatchSource, Options, Schedule, default_tolerance, verify};

use crate::args::{ScheduleArg, Verify};
use crate::model::model_source;
use crate::output;
use crate::schedule::Usage;
use crate::threads;

/// `autopipe verify`: success if the two agree.
///
/// # Errors
/// If anything is wrong with model, batch or sizes, one of the two runs fails, or the gradients
/// cannot be written.
pub(crate) fn run(args: &Verify) -> anyhow::Result<ExitCode> {
    let batch = &args.batch;
    let options = Options {
        model: model_source(&args.model)?,
        pp_size: args.pp,
        schedule: schedule(args)?,
        split: args.split.clone(),
        dtype: args.dtype,
        freeze: args.freeze.clone(),
        adapter: args.adapter.clone(),
        recompute: args.recompute.unwrap_or_default(),
        batch: match &batch.batch {
            Some(path) => BatchSource::File(path.clone()),
            None => BatchSource::Random { batch_size: batch.batch_size, seq_len: batch.seq_len },
        },
        tolerance: args.tolerance.unwrap_or(default_tolerance(args.dtype)),
        seed: batch.seed,
    };
    let ranks = ThreadOptions {
        threads_per_rank: args.threads.and_then(|num| NonZeroUsize::new(num.into())),
        ..ThreadOptions::default()
    };
    threads::keep_memory();
    threads::tell_candle(ranks.num_threads(options.pp_size));
    let verified = verify(&options, &ranks)?;
    if let Some(path) = &args.grads_out {
        verified.gradients.write(path)?;
    }
    let report = &verified.report;
    let text = if args.json {
        format!("{:#}\n", serde_json::to_value(report)?)
    } else {
        text::text(report)
    };
    output::result(&text)?;
    Ok(if report.agrees { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn schedule(args: &Verify) -> Result<Schedule, Usage> {
    match &args.schedule {
        ScheduleArg::Name(kind) => {
            let missing = || Usage("--microbatches is missing".to_owned());
            Ok(Schedule::Named {
                kind: *kind,
                stages_per_rank: args.stages_per_rank,
                num_microbatches: args.microbatches.ok_or_else(missing)?,
            })
        }
        ScheduleArg::Table(_) if args.stages_per_rank.is_some() => {
            let text = "--stages-per-rank has no effect: the table says what is on each rank";
            Err(Usage(text.to_owned()))
        }
        ScheduleArg::Table(path) => {
            Ok(Schedule::Table { path: path.clone(), num_microbatches: args.microbatches })
        }
    }
}
