//! A layout as stages of a model, and a model's stages as a layout.

use std::collections::BTreeMap;

use super::{Layout, LayoutProblem, LayoutStage};
use crate::partition::assemble;
use crate::{Error, Module, ModuleGraph, Partition, Role};

/// Puts on each stage what its letters stand for. What stands between layers goes with the layer
/// before it.
///
/// A model's modules for multi-token prediction are those with a part `mtp` in their names:
/// `mtp`, `model.mtp.0`, `mtp_block`. They are no layers here, whatever their role.
///
/// Unlike Megatron-LM, which pads pipelines with stages that compute nothing, a stage has to have a
/// letter.
///
/// # Errors
/// If the layout does not fit the model, with all reasons at once; if a module is not connected to
/// the others, or the letters are against the data flow.
pub fn split_layout(graph: &ModuleGraph, layout: &Layout) -> Result<Partition, Error> {
    let problems = problems(graph, layout);
    if !problems.is_empty() {
        return Err(Error::Layout(problems));
    }
    let stages = layout.stages();
    let on = |count: fn(&LayoutStage) -> usize| {
        stages.iter().enumerate().flat_map(move |(i, stage)| std::iter::repeat_n(i, count(stage)))
    };
    let mut layers = on(|stage| stage.layers);
    let mut predictions = on(|stage| stage.predictions);
    let last_layer = graph.modules().filter(|module| is_layer(module)).last();
    let mut is_behind = last_layer.is_none();
    let mut at = 0;
    let mut placed = BTreeMap::new();
    for module in graph.modules().filter(|module| module.role != Role::EveryStage) {
        let stage = if is_prediction(module) {
            predictions.next()
        } else if is_layer(module) {
            at = layers.next().unwrap_or(at);
            is_behind = last_layer.is_some_and(|last| last.name == module.name);
            Some(at)
        } else if is_behind {
            Some(stages.len() - 1)
        } else {
            Some(at)
        };
        if let Some(stage) = stage {
            placed.insert(module.name.as_str(), stage);
        }
    }
    // Only the ends can be empty: an `E` or `L` for which the model has no module.
    let ends = std::collections::BTreeSet::from([0, stages.len() - 1]);
    let is_empty = |stage: &usize| placed.values().all(|placed| placed != stage);
    let ends = ends.into_iter().filter(is_empty);
    let empty = ends.map(|stage| crate::Problem::EmptyStage { stage }).collect();
    assemble(graph, &placed, stages.len(), empty)
}

impl Layout {
    /// The layout of a partition; none if there is none, as where a layer shares its stage with half
    /// of what comes before the first one.
    pub fn of(graph: &ModuleGraph, partition: &Partition) -> Option<Self> {
        let mut stages = vec![LayoutStage::default(); partition.num_stages()];
        for module in graph.modules().filter(|module| module.role != Role::EveryStage) {
            let stage = stages.get_mut(partition.stage_of(&module.name)?)?;
            if is_prediction(module) {
                stage.predictions += 1;
            } else if is_layer(module) {
                stage.layers += 1;
            }
        }
        stages.first_mut()?.embeddings = 1;
        stages.last_mut()?.losses = 1;
        let layout = Self { stages };
        (split_layout(graph, &layout).ok()? == *partition).then_some(layout)
    }
}

fn problems(graph: &ModuleGraph, layout: &Layout) -> Vec<LayoutProblem> {
    let stages = layout.stages();
    let mut problems = Vec::new();
    let (mut sum, last) = (LayoutStage::default(), stages.len().saturating_sub(1));
    for (number, stage) in stages.iter().enumerate() {
        if *stage == LayoutStage::default() {
            problems.push(LayoutProblem::Empty { stage: number });
        }
        if stage.embeddings > 0 && number > 0 {
            problems.push(LayoutProblem::EmbeddingStage { stage: number });
        }
        if stage.losses > 0 && number < last {
            problems.push(LayoutProblem::LossStage { stage: number, last });
        }
        sum.embeddings = sum.embeddings.saturating_add(stage.embeddings);
        sum.layers = sum.layers.saturating_add(stage.layers);
        sum.predictions = sum.predictions.saturating_add(stage.predictions);
        sum.losses = sum.losses.saturating_add(stage.losses);
    }
    if sum.embeddings != 1 {
        problems.push(LayoutProblem::Embedding { count: sum.embeddings });
    }
    if sum.losses != 1 {
        problems.push(LayoutProblem::Loss { count: sum.losses });
    }
    let in_model = graph.modules().filter(|module| is_layer(module)).count();
    if sum.layers != in_model {
        problems.push(LayoutProblem::Layers { in_layout: sum.layers, in_model });
    }
    let in_model = graph.modules().filter(|module| is_prediction(module)).count();
    if sum.predictions != in_model {
        problems.push(LayoutProblem::Predictions { in_layout: sum.predictions, in_model });
    }
    problems
}

fn is_layer(module: &Module) -> bool {
    module.role == Role::Layer && !is_prediction(module)
}

fn is_prediction(module: &Module) -> bool {
    let is_mtp = |part: &str| part == "mtp" || part.starts_with("mtp_");
    module.role != Role::EveryStage && module.name.split('.').any(is_mtp)
}
