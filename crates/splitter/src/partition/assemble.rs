//! The one way to a partition: modules with their stages, checked against the data flow.

use std::collections::{BTreeMap, BTreeSet};

use super::{Partition, StageModules, TiedParameter};
use crate::{Error, Module, ModuleGraph, Problem, Role};

/// Puts every module on the stage that `stages` names, and those for every stage on all.
///
/// Modules without a stage are the caller's to complain about: `problems` are those that it has
/// found already, and what is wrong with the placed modules is added to them.
pub(crate) fn assemble(
    graph: &ModuleGraph,
    stages: &BTreeMap<&str, usize>,
    num_stages: usize,
    mut problems: Vec<Problem>,
) -> Result<Partition, Error> {
    if let Some(module) = graph.unconnected() {
        return Err(Error::Unconnected { module: module.name.clone() });
    }
    problems.extend(against_flow(graph, stages));
    if !problems.is_empty() {
        return Err(Error::Split(problems));
    }
    let mut parts = vec![StageModules::default(); num_stages];
    let mut stage_of = BTreeMap::new();
    for module in graph.modules() {
        let stage = match module.role {
            Role::EveryStage if num_stages > 1 => {
                for part in &mut parts {
                    add(part, module);
                }
                continue;
            }
            Role::EveryStage => 0,
            Role::Layer | Role::Boundary => match stages.get(module.name.as_str()) {
                Some(&stage) => stage,
                None => continue,
            },
        };
        if let Some(part) = parts.get_mut(stage) {
            add(part, module);
            stage_of.insert(module.name.clone(), stage);
        }
    }
    let tied = tied(graph, &stage_of, &mut parts);
    Ok(Partition { stages: parts, stage_of, tied, num_parameters: graph.num_parameters() })
}

fn add(part: &mut StageModules, module: &Module) {
    part.modules.push(module.name.clone());
    // The sum over the whole graph did not overflow, so this one cannot.
    part.num_parameters += module.num_parameters();
    part.num_trainable += module.num_trainable();
    part.flops.push(module.flops);
    part.activation_bytes.push(module.activation_bytes);
}

/// The copies that lie on other stages than their owners. The first copy of each on a stage is
/// counted there: the stages hold no more tensors than the model has, so that this cannot overflow
/// either.
fn tied(
    graph: &ModuleGraph,
    stage_of: &BTreeMap<String, usize>,
    parts: &mut [StageModules],
) -> Vec<TiedParameter> {
    let mut held = BTreeSet::new();
    let mut tied = Vec::new();
    for [(module, copy), (owner_module, owner)] in graph.shared() {
        let (Some(&stage), Some(&owner_stage)) =
            (stage_of.get(&module.name), stage_of.get(&owner_module.name))
        else {
            continue;
        };
        if stage == owner_stage {
            continue;
        }
        if held.insert((stage, owner.name.as_str()))
            && let Some(part) = parts.get_mut(stage)
        {
            let number = copy.num_elements().unwrap_or_default();
            part.num_parameters += number;
            part.num_trainable += if owner.trainable { number } else { 0 };
        }
        tied.push(TiedParameter {
            parameter: copy.name.clone(),
            stage,
            owner: owner.name.clone(),
            owner_stage,
            num_elements: copy.num_elements().unwrap_or_default(),
            is_trained: owner.trainable,
        });
    }
    tied
}

fn against_flow(
    graph: &ModuleGraph,
    stages: &BTreeMap<&str, usize>,
) -> impl Iterator<Item = Problem> {
    graph.edges().filter_map(|(from, to, _)| {
        let from_stage = *stages.get(from.name.as_str())?;
        let to_stage = *stages.get(to.name.as_str())?;
        (to_stage < from_stage).then(|| Problem::AgainstFlow {
            from: from.name.clone(),
            from_stage,
            to: to.name.clone(),
            to_stage,
        })
    })
}
