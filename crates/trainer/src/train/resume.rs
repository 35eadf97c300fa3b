//! Where a run goes on: the checkpoint, what it has, and whether it is the recipe's.

use std::path::{Path, PathBuf};

use autopipe::splitter::ModuleGraph;
use autopipe_config::{Adapters, ModelSource, Recipe};
use autopipe_models::{AutoModel, from_config_with};

use super::from_recipe::model_config;
use super::model::{model_of, options_of};
use super::options::TrainOptions;
use crate::state::{SavedOptimizer, StateProblem, TrainingState};
use crate::{Error, RunDir};

/// The word for the newest checkpoint of the run itself.
const LATEST: &str = "LATEST";

/// The most differences that a message lists.
const MAX_DIFFERENCES: usize = 4;

/// What a run goes on from.
#[derive(Clone, Debug)]
pub(super) struct Restored {
    pub(super) folder: PathBuf,
    pub(super) state: TrainingState,
    pub(super) optimizer: SavedOptimizer,
}

/// What a run begins with, and whether its folder has a run that it goes on with.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) restored: Option<Restored>,
    pub(super) is_same_run: bool,
}

/// Finds what the run goes on from, if anything: its own newest checkpoint if it is to be resumed, and
/// else what the recipe names.
pub(super) fn origin(recipe: &Recipe, options: &TrainOptions) -> Result<Origin, Error> {
    let named = recipe.checkpoint.restore_from.as_deref();
    let is_resumed = options.resume || named == Some(LATEST);
    let own = RunDir::at(&recipe.checkpoint.checkpoint_dir);
    if is_resumed && own.is_run() {
        let latest = own.latest()?.map(|checkpoint| restore(&checkpoint.path, recipe));
        return Ok(Origin { restored: latest.transpose()?, is_same_run: true });
    }
    let restored = match named {
        Some(LATEST) | None => None,
        Some(named) => Some(restore(&checkpoint_at(Path::new(named))?, recipe)?),
    };
    Ok(Origin { restored, is_same_run: false })
}

/// The checkpoint that a path means: itself, or the newest of a run.
fn checkpoint_at(path: &Path) -> Result<PathBuf, Error> {
    let run = RunDir::at(path);
    if !run.is_run() {
        return Ok(path.to_owned());
    }
    match run.latest()? {
        Some(checkpoint) => Ok(checkpoint.path),
        None => Err(StateProblem::Nothing { path: path.to_owned() }.into()),
    }
}

fn restore(checkpoint: &Path, recipe: &Recipe) -> Result<Restored, Error> {
    let state = TrainingState::read(checkpoint)?;
    let asked = recipe.optimizer.name.as_str();
    if state.optimizer != asked {
        return Err(StateProblem::Optimizer {
            checkpoint: checkpoint.to_owned(),
            saved: state.optimizer,
            asked: asked.to_owned(),
        }
        .into());
    }
    let optimizer = SavedOptimizer::open(checkpoint)?;
    Ok(Restored { folder: checkpoint.to_owned(), state, optimizer })
}

/// The recipe's model with the weights of a checkpoint.
pub(super) fn restored_model(
    recipe: &Recipe,
    restored: &Restored,
    dtype: autopipe_config::DType,
) -> Result<AutoModel, Error> {
    let checkpoint = restored.folder.clone();
    let folder = checkpoint.display().to_string();
    let is_adapter = checkpoint.join("adapter_config.json").exists();
    let mut changed = recipe.clone();
    match &mut changed.peft {
        Some(_) if !is_adapter => return Err(StateProblem::Merged { checkpoint }.into()),
        Some(peft) => peft.adapters = Adapters::Pretrained { folder },
        None => changed.model.source = ModelSource::Pretrained { folder },
    }
    let model = model_of(&changed, dtype)?;
    let differences = differences(&expected(recipe, dtype)?, &model.as_model().graph());
    if differences.is_empty() {
        return Ok(model);
    }
    Err(StateProblem::Model { checkpoint, differences }.into())
}

/// The graph of the model that the recipe describes.
fn expected(recipe: &Recipe, dtype: autopipe_config::DType) -> Result<ModuleGraph, Error> {
    let config = model_config(&recipe.model.source)?;
    let options = options_of(recipe, dtype)?;
    let model = from_config_with(&config, recipe.rng.seed, options)?;
    Ok(model.as_model().graph())
}

/// What the models do not have in common, the first of it.
fn differences(expected: &ModuleGraph, found: &ModuleGraph) -> Vec<String> {
    let parameters = |graph: &ModuleGraph| {
        let all = graph.modules().flat_map(|module| &module.parameters);
        all.map(|p| (p.name.clone(), p.shape.clone())).collect::<std::collections::BTreeMap<_, _>>()
    };
    let (expected, found) = (parameters(expected), parameters(found));
    let mut differences = Vec::new();
    for (name, shape) in &expected {
        match found.get(name) {
            None => differences.push(format!("it has no `{name}`")),
            Some(other) if other != shape => {
                differences.push(format!("`{name}` has shape {other:?} instead of {shape:?}"));
            }
            Some(_) => {}
        }
    }
    let extra = found.keys().filter(|name| !expected.contains_key(*name));
    differences.extend(extra.map(|name| format!("it has `{name}` besides")));
    let num_more = differences.len().saturating_sub(MAX_DIFFERENCES);
    differences.truncate(MAX_DIFFERENCES);
    if num_more > 0 {
        differences.push(format!("{num_more} more"));
    }
    differences
}
