//! A model as one stage, for what needs no pipeline.

use autopipe::StageModel;
use autopipe_models::AutoModel;
use candle_core::Device;

use crate::Error;

/// All modules in one stage.
pub(crate) fn build_whole(model: &AutoModel) -> Result<Box<dyn StageModel>, Error> {
    let model = model.as_model();
    let modules: Vec<String> = model.graph().modules().map(|module| module.name.clone()).collect();
    let stage = model.build_stage(&modules, &Device::Cpu);
    Ok(stage.map_err(|source| autopipe::Error::Stage { stage: 0, source })?)
}
