//! The model of a recipe and how it is trained, in the terms of the models.

use std::path::Path;

use autopipe::splitter::ModuleGraph;
use autopipe_config::{
    ActivationCheckpointing, Adapters, DType, Model, ModelSource, Peft, Recipe, RecipeErrors,
};
use autopipe_models::{
    AdapterWeights, AutoModel, Error as ModelError, Lora, Options, Recompute, from_config_with,
    load_folder_with, read_config,
};
use serde_json::Value;

use super::from_recipe::model_config;
use crate::Error;

/// The type in which a recipe's model is trained: what it asks for, what the `config.json` of saved
/// weights says, or float32.
///
/// # Errors
/// If a folder's config cannot be read, or is no JSON.
pub fn trained_dtype(model: &Model) -> Result<DType, Error> {
    match (model.dtype, &model.source) {
        (Some(dtype), _) => Ok(dtype),
        (None, ModelSource::Pretrained { folder }) => {
            Ok(saved_dtype(&read_config(Path::new(folder))?))
        }
        (None, ModelSource::Scratch { .. } | ModelSource::ScratchLike { .. }) => Ok(DType::Float32),
    }
}

/// The type that a `config.json` gives its weights; float32 in place of one that nothing is trained in.
pub(crate) fn saved_dtype(config: &Value) -> DType {
    let name = ["dtype", "torch_dtype"].iter().find_map(|key| config.get(key)?.as_str());
    match name.and_then(|name| name.parse().ok()) {
        Some(dtype @ (DType::BFloat16 | DType::Float16)) => dtype,
        Some(DType::Float32 | DType::Float64) | None => DType::Float32,
    }
}

/// candle's name of a type that a model is trained in. Nothing is trained in float64, which whoever
/// asks has refused: float32 stands for it, so that what else is wrong is found as well.
pub(crate) fn candle_dtype(dtype: DType) -> candle_core::DType {
    match dtype {
        DType::Float32 | DType::Float64 => candle_core::DType::F32,
        DType::Float16 => candle_core::DType::F16,
        DType::BFloat16 => candle_core::DType::BF16,
    }
}

/// Which layers are computed again for their backward.
pub(crate) fn recompute(which: ActivationCheckpointing) -> Recompute {
    match which {
        ActivationCheckpointing::None => Recompute::None,
        ActivationCheckpointing::Full => Recompute::All,
        ActivationCheckpointing::Every(layers) => Recompute::Every(layers),
    }
}

/// The graph of a recipe's model, with what is trained of it and what it keeps for the backward. It
/// needs no weights of the model.
///
/// # Errors
/// If the config is none that can be trained, or the recipe asks for what the model does not have.
pub fn trained_graph(recipe: &Recipe) -> Result<ModuleGraph, Error> {
    let config = model_config(&recipe.model.source)?;
    let model = made(recipe, trained_dtype(&recipe.model)?, |options| {
        Ok(from_config_with(&config, recipe.rng.seed, options)?)
    })?;
    Ok(model.as_model().graph())
}

/// The recipe's model, to be trained in `dtype` as the recipe says. What is wrong with a key of the
/// recipe is told with its line.
pub(super) fn model_of(recipe: &Recipe, dtype: DType) -> Result<AutoModel, Error> {
    let source = &recipe.model.source;
    made(recipe, dtype, |options| load_model(source, recipe.rng.seed, options))
}

fn made(
    recipe: &Recipe,
    dtype: DType,
    make: impl FnOnce(Options) -> Result<AutoModel, Error>,
) -> Result<AutoModel, Error> {
    let made = options_of(recipe, dtype).map_err(Error::Model).and_then(make);
    let model = made.map_err(|error| match error {
        Error::Model(error) => placed(recipe, error),
        error => error,
    })?;
    let graph = model.as_model().graph();
    if graph.modules().any(|module| module.num_trainable() > 0) {
        return Ok(model);
    }
    let problem = recipe.problem("model.freeze", "nothing is left to be trained", None);
    Err(Error::Recipe(RecipeErrors::from(problem)))
}

pub(super) fn options_of(recipe: &Recipe, dtype: DType) -> Result<Options, ModelError> {
    let lora = recipe.peft.as_ref().map(|peft| lora_of(peft, recipe.rng.seed));
    Ok(Options {
        dtype: candle_dtype(dtype),
        freeze: recipe.model.freeze.clone(),
        lora: lora.transpose()?,
        recompute: recompute(recipe.distributed.activation_checkpointing),
        check_finite: recipe.model.check_weights,
    })
}

fn lora_of(peft: &Peft, seed: u64) -> Result<Lora, ModelError> {
    let lora = match &peft.adapters {
        Adapters::New { target_modules, dim, alpha, use_rslora, modules_to_save } => Lora {
            rank: *dim,
            alpha: *alpha,
            dropout: 0.0,
            targets: target_modules.clone(),
            use_rslora: *use_rslora,
            modules_to_save: modules_to_save.clone(),
            weights: AdapterWeights::Random { seed },
        },
        Adapters::Pretrained { folder } => Lora::load(Path::new(folder))?,
    };
    Ok(Lora { dropout: peft.dropout.unwrap_or(lora.dropout), ..lora })
}

/// The error, at the key of the recipe that it is about.
fn placed(recipe: &Recipe, error: ModelError) -> Error {
    let is_of_adapters = |path: &Path| match recipe.peft.as_ref().map(|peft| &peft.adapters) {
        Some(Adapters::Pretrained { folder: own }) => path.starts_with(own),
        Some(Adapters::New { .. }) | None => false,
    };
    let key = match &error {
        ModelError::NothingToFreeze { .. } => "model.freeze",
        ModelError::Pattern { pattern, .. } if recipe.model.freeze.contains(pattern) => {
            "model.freeze"
        }
        ModelError::Pattern { pattern, .. } => match recipe.peft.as_ref().map(|p| &p.adapters) {
            Some(Adapters::New { modules_to_save, .. }) if modules_to_save.contains(pattern) => {
                "peft.modules_to_save"
            }
            _ => "peft.target_modules",
        },
        ModelError::NoTarget { .. } | ModelError::NoTargets => "peft.target_modules",
        ModelError::NoModule { .. } => "peft.modules_to_save",
        ModelError::TiedAdapter { .. } | ModelError::Adapter { .. } => "peft",
        ModelError::ExpertDropout { .. } => "peft.dropout",
        ModelError::AdapterConfig { .. } => "peft.pretrained",
        ModelError::Read { path, .. } | ModelError::Json { path, .. } if is_of_adapters(path) => {
            "peft.pretrained"
        }
        ModelError::Checkpoint { folder, .. } if is_of_adapters(folder) => "peft.pretrained",
        _ => return Error::Model(error),
    };
    let problem = recipe.problem(key, error.to_string(), None);
    Error::Recipe(RecipeErrors::from(problem))
}

fn load_model(source: &ModelSource, seed: u64, options: Options) -> Result<AutoModel, Error> {
    Ok(match source {
        ModelSource::Pretrained { folder } => load_folder_with(Path::new(folder), options)?,
        ModelSource::Scratch { .. } | ModelSource::ScratchLike { .. } => {
            from_config_with(&model_config(source)?, seed, options)?
        }
    })
}

/// The model; a folder without weights in it is a config alone, which gets random ones.
pub(crate) fn load_or_draw(
    source: &ModelSource,
    seed: u64,
    options: Options,
) -> Result<AutoModel, Error> {
    match (load_model(source, seed, options.clone()), source) {
        (Err(Error::Model(ModelError::NoWeights { .. })), ModelSource::Pretrained { folder }) => {
            Ok(from_config_with(&read_config(Path::new(folder))?, seed, options)?)
        }
        (loaded, _) => loaded,
    }
}
