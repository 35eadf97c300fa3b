//! A model as one stage, for what needs no pipeline.

use std::path::Path;

use autopipe::StageModel;
use autopipe_models::AutoModel;
use autopipe_models::checkpoint::save::{Content, Writing, finish, write_shard};
use candle_core::Device;

use crate::Error;

/// All modules in one stage.
pub(crate) fn build_whole(model: &AutoModel) -> Result<Box<dyn StageModel>, Error> {
    let model = model.as_model();
    let modules: Vec<String> = model.graph().modules().map(|module| module.name.clone()).collect();
    let stage = model.build_stage(&modules, &Device::Cpu);
    Ok(stage.map_err(|source| autopipe::Error::Stage { stage: 0, source })?)
}

/// Writes the model into a folder that is there, as transformers loads it, with adapters merged.
pub(crate) fn write_whole(model: &AutoModel, folder: &Path) -> Result<(), Error> {
    let stage = build_whole(model)?;
    let writing = Writing { folder, model, content: Content::Model, num_shards: 1 };
    write_shard(&writing, 0, &[stage.parameters()])?;
    Ok(finish(&writing)?)
}
