//! A checkpoint: every rank writes its own tensors, and the whole appears at once.

use std::path::PathBuf;

use autopipe::AutoPipeline;
use autopipe_models::AutoModel;
use autopipe_models::checkpoint::save::{
    Content, Writing, begin, commit, finish, partial, write_shard,
};

use crate::{Error, RunDir};

/// Writes the checkpoint after `step`, the adapters or the model; all ranks call this. Returns its
/// folder.
pub(super) fn save(
    run_dir: &RunDir,
    step: usize,
    pipeline: &AutoPipeline,
    model: &AutoModel,
    content: Content,
) -> Result<PathBuf, Error> {
    let world = pipeline.world();
    let barrier = || world.barrier().map_err(autopipe::Error::from);
    let folder = run_dir.checkpoint(step).path;
    if world.rank() == 0 {
        begin(&folder)?;
    }
    barrier()?;
    let unfinished = partial(&folder)?;
    let writing = Writing { folder: &unfinished, model, content, num_shards: world.size() };
    write_shard(&writing, world.rank(), &pipeline.parts()?)?;
    barrier()?;
    if world.rank() == 0 {
        finish(&writing)?;
        commit(&unfinished, &folder)?;
        run_dir.set_latest(step)?;
    }
    barrier()?;
    Ok(folder)
}
