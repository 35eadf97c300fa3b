//! A checkpoint: every rank writes its own tensors, and the whole appears at once.

use std::path::PathBuf;

use autopipe::AutoPipeline;
use autopipe_models::AutoModel;
use autopipe_models::checkpoint::save::{
    begin, commit, partial, write_index_and_config, write_shard,
};

use crate::{Error, RunDir};

/// Writes the checkpoint after `step`; all ranks call this. Returns its folder.
pub(super) fn save(
    run_dir: &RunDir,
    step: usize,
    pipeline: &AutoPipeline,
    model: &AutoModel,
) -> Result<PathBuf, Error> {
    let world = pipeline.world();
    let barrier = || world.barrier().map_err(autopipe::Error::from);
    let folder = run_dir.checkpoint(step).path;
    if world.rank() == 0 {
        begin(&folder)?;
    }
    barrier()?;
    let unfinished = partial(&folder)?;
    // A tensor with copies on several stages is written once, under its owner's name.
    let owned = pipeline.owned_parts()?;
    let owned: Vec<_> = owned.iter().collect();
    write_shard(&unfinished, world.rank(), world.size(), &owned)?;
    barrier()?;
    if world.rank() == 0 {
        write_index_and_config(&unfinished, model, world.size())?;
        commit(&unfinished, &folder)?;
        run_dir.set_latest(step)?;
    }
    barrier()?;
    Ok(folder)
}
