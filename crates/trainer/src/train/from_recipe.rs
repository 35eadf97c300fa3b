//! What a recipe says of a pipeline, for a run as for whoever only plans one.

use std::fs;
use std::io;
use std::path::Path;

use autopipe::schedule::{Plan, Program, csv};
use autopipe::{DataParallel, PipelineConfig, Split};
use autopipe_config::{ModelSource, Recipe, RecipeErrors, Strategy};
use autopipe_models::read_config;
use serde_json::Value;

use crate::Error;

/// The recipe's pipeline; without one, the whole batch goes through a pipeline of one stage.
pub fn pipeline_config(recipe: &Recipe) -> PipelineConfig {
    let batch_size = recipe.step_scheduler.local_batch_size;
    recipe.distributed.pipeline.clone().unwrap_or_else(|| PipelineConfig {
        pp_microbatch_size: batch_size,
        pp_batch_size: batch_size,
        loss_fn: Some(recipe.loss_fn),
        ..PipelineConfig::default()
    })
}

/// How many ranks a run of the recipe has: those of each pipeline, times the pipelines, times those that
/// have parts of the same matrices.
pub fn num_ranks(recipe: &Recipe) -> usize {
    let pipelines =
        recipe.distributed.pp_size.saturating_mul(data_parallel(recipe).num_pipelines());
    pipelines.saturating_mul(recipe.distributed.tp_size)
}

/// The pipelines that train side by side: with `ddp` all data-parallel ranks have all parameters, and
/// else those of each copy share it out.
pub(crate) fn data_parallel(recipe: &Recipe) -> DataParallel {
    let distributed = &recipe.distributed;
    let copies = distributed.dp_replicate_size;
    let dp_size = distributed.dp_size.unwrap_or(copies);
    match distributed.strategy {
        Strategy::Fsdp2 if dp_size.is_multiple_of(copies) => {
            DataParallel { replicate: copies, shard: dp_size / copies }
        }
        // What is uneven is refused, for this reason alone.
        Strategy::Ddp | Strategy::Fsdp2 => DataParallel { replicate: dp_size, shard: 1 },
    }
}

/// What stands in the `config.json` of the model, or would.
///
/// # Errors
/// If a folder's cannot be read, or is no JSON.
pub fn model_config(source: &ModelSource) -> Result<Value, Error> {
    match source {
        ModelSource::Pretrained { folder } => Ok(read_config(Path::new(folder))?),
        ModelSource::Scratch { config } => Ok(config.clone()),
        ModelSource::ScratchLike { folder, changes } => {
            let mut config = read_config(Path::new(folder))?;
            if let Some(fields) = config.as_object_mut() {
                fields.extend(changes.clone());
            }
            Ok(config)
        }
    }
}

/// How the recipe wants the model split.
///
/// # Errors
/// If it is no way to split, with the place in the recipe.
pub fn split_of(recipe: &Recipe) -> Result<Split, Error> {
    let Some(text) = &recipe.distributed.split else { return Ok(Split::default()) };
    text.parse().map_err(|error: autopipe::SplitError| {
        let problem = recipe.problem("distributed.split", error.to_string(), None);
        Error::Recipe(RecipeErrors::from(problem))
    })
}

/// The table that `pp_schedule_csv` names, if it names one.
///
/// # Errors
/// If the file cannot be read, or is no compute-only table.
pub fn read_schedule(config: &PipelineConfig) -> Result<Option<Plan>, Error> {
    config.pp_schedule_csv.as_ref().map(|path| read_table(Path::new(path))).transpose()
}

/// The compute-only table in a file.
pub(crate) fn read_table(path: &Path) -> Result<Plan, Error> {
    let path = path.to_owned();
    let text =
        read_regular(&path).map_err(|source| Error::ReadSchedule { path: path.clone(), source })?;
    match csv::read_plan(text.as_slice()) {
        Ok(table) => Ok(table),
        Err(_)
            if csv::read_program(text.as_slice()).is_ok_and(|program| has_transfers(&program)) =>
        {
            Err(Error::ScheduleLevel { path })
        }
        Err(source) => Err(Error::Schedule { path, source }),
    }
}

fn has_transfers(program: &Program) -> bool {
    program.rows().iter().flatten().any(|action| action.work().is_none())
}

/// The content of a file; reading a pipe or a device might never end.
pub(crate) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.is_file() {
        fs::read(path)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}
