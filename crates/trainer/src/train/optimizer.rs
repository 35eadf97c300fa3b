//! The optimiser of a recipe.

use std::sync::Arc;

use autopipe::ParameterBytes;
use autopipe::splitter::ModuleGraph;
use autopipe_config::{DType, OptimizerName, Recipe, RecipeErrors};
use autopipe_models::Pattern;
use autopipe_nn::optim::{
    AdamWConfig, Group, LionConfig, Lookahead, MasterWeights, Optimizer, Rule, SgdConfig,
};

use super::model::candle_dtype;
use crate::Error;

/// A new optimiser as the recipe wants it.
pub(super) fn optimizer_of(recipe: &Recipe) -> Result<Optimizer, Error> {
    with_groups(recipe, patterns(recipe)?)
}

/// What a parameter of this type takes while the recipe's optimiser trains it: its own bytes, its
/// gradient in float32, and what is remembered of it.
///
/// # Errors
/// If a constant of the optimiser is out of its range.
pub fn parameter_bytes(recipe: &Recipe, dtype: DType) -> Result<ParameterBytes, Error> {
    let dtype = candle_dtype(dtype);
    let num_remembered = with_groups(recipe, Vec::new())?.state_names(dtype).len();
    let float = size_of::<f32>();
    let optimizer = float * num_remembered;
    Ok(ParameterBytes { weight: dtype.size_in_bytes(), gradient: float, optimizer })
}

fn with_groups(recipe: &Recipe, groups: Vec<Group>) -> Result<Optimizer, Error> {
    let options = &recipe.optimizer;
    let ([beta1, beta2], weight_decay) = (options.betas, options.weight_decay);
    let rule = match options.name {
        OptimizerName::AdamW => {
            Rule::AdamW(AdamWConfig { beta1, beta2, eps: options.eps, weight_decay })
        }
        OptimizerName::Sgd => Rule::Sgd(SgdConfig {
            momentum: options.momentum,
            dampening: options.dampening,
            lookahead: if options.nesterov { Lookahead::Nesterov } else { Lookahead::None },
            weight_decay,
        }),
        OptimizerName::Lion => Rule::Lion(LionConfig { beta1, beta2, weight_decay }),
    };
    let master = if options.master_weights { MasterWeights::Float32 } else { MasterWeights::None };
    Ok(Optimizer::new(rule, groups)?.with_master_weights(master))
}

fn patterns(recipe: &Recipe) -> Result<Vec<Group>, Error> {
    let mut groups = Vec::new();
    for (number, group) in recipe.optimizer.param_groups.iter().enumerate() {
        let pattern = |(index, text): (usize, &String)| {
            Pattern::new(text).map_err(|error| {
                let key = format!("optimizer.param_groups[{number}].params[{index}]");
                let problem = recipe.problem(&key, error.to_string(), None);
                Error::Recipe(RecipeErrors::from(problem))
            })
        };
        let patterns: Vec<Pattern> =
            group.params.iter().enumerate().map(pattern).collect::<Result<_, _>>()?;
        groups.push(Group {
            matches: Arc::new(move |name| patterns.iter().any(|pattern| pattern.covers(name))),
            weight_decay: group.weight_decay,
            lr_factor: group.lr_factor,
        });
    }
    Ok(groups)
}

/// Groups that no parameter of the model is in.
pub(super) fn idle_groups(recipe: &Recipe, graph: &ModuleGraph) -> Result<(), Error> {
    let groups = patterns(recipe)?;
    let names: Vec<&str> = graph
        .modules()
        .flat_map(|module| &module.parameters)
        .map(|parameter| parameter.name.as_str())
        .collect();
    let idle = groups
        .iter()
        .enumerate()
        .filter(|(_, group)| !names.iter().any(|name| (group.matches)(name)));
    let problems: Vec<_> = idle
        .map(|(number, _)| {
            let key = format!("optimizer.param_groups[{number}].params");
            recipe.problem(&key, "no parameter of the model has such a name", None)
        })
        .collect();
    RecipeErrors::new(problems).map_or(Ok(()), |errors| Err(Error::Recipe(errors)))
}
