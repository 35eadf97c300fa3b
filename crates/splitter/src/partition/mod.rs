//! The result of a split: which modules each stage has.

mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::{BatchShape, Cost, Error, ModuleGraph, Problem, Role};

/// A model cut into stages: every module on exactly one stage, or on all of them if its role says
/// so, and no data flows to an earlier stage. Only the splitting functions make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    stages: Vec<StageModules>,
}

/// What one stage has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageModules {
    modules: Vec<String>,
    num_parameters: usize,
    /// Of each module, in their order.
    flops: Vec<Cost>,
    activation_bytes: Vec<Cost>,
}

impl StageModules {
    /// The names of the stage's modules, in data-flow order.
    pub fn modules(&self) -> &[String] {
        &self.modules
    }

    /// How many numbers the stage's parameters hold; shared ones count once.
    pub fn num_parameters(&self) -> usize {
        self.num_parameters
    }

    /// Floating-point operations of the stage's forward pass.
    pub fn flops(&self, shape: BatchShape) -> f64 {
        self.flops.iter().map(|cost| cost.at(shape)).sum()
    }

    /// The part of its operations that each token takes wherever it stands: what is multiplied with
    /// weights, without what tokens have to do with each other.
    pub fn flops_per_token(&self) -> u128 {
        self.flops.iter().map(|cost| u128::from(cost.per_token)).sum()
    }

    /// Bytes that the stage's forward pass keeps for the backward pass.
    pub fn activation_bytes(&self, shape: BatchShape) -> f64 {
        self.activation_bytes.iter().map(|cost| cost.at(shape)).sum()
    }
}

impl Partition {
    /// All stages; the first takes the model's inputs.
    pub fn stages(&self) -> &[StageModules] {
        &self.stages
    }

    /// How many stages there are, at least 1.
    pub fn num_stages(&self) -> usize {
        self.stages.len()
    }

    /// The index of the one stage that has the module; none if no stage has it or several do.
    pub fn stage_of(&self, module: &str) -> Option<usize> {
        let mut stages = (0..)
            .zip(&self.stages)
            .filter(|(_, stage)| stage.modules.iter().any(|name| name == module));
        let (stage, _) = stages.next()?;
        stages.next().is_none().then_some(stage)
    }
}

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
    problems.extend(shared_apart(graph, stages));
    if !problems.is_empty() {
        return Err(Error::Split(problems));
    }
    let stage_modules = |stage| {
        let mut modules = StageModules {
            modules: Vec::new(),
            num_parameters: 0,
            flops: Vec::new(),
            activation_bytes: Vec::new(),
        };
        for module in graph.modules() {
            let here = match module.role {
                Role::EveryStage => true,
                Role::Layer | Role::Boundary => stages.get(module.name.as_str()) == Some(&stage),
            };
            if here {
                modules.modules.push(module.name.clone());
                // The sum over the whole graph did not overflow, so this one cannot.
                modules.num_parameters += module.num_parameters();
                modules.flops.push(module.flops);
                modules.activation_bytes.push(module.activation_bytes);
            }
        }
        modules
    };
    Ok(Partition { stages: (0..num_stages).map(stage_modules).collect() })
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

fn shared_apart(
    graph: &ModuleGraph,
    stages: &BTreeMap<&str, usize>,
) -> impl Iterator<Item = Problem> {
    graph.shared().filter_map(|[(module, copy), (owner_module, owner)]| {
        let stage = *stages.get(module.name.as_str())?;
        let owner_stage = *stages.get(owner_module.name.as_str())?;
        (stage != owner_stage).then(|| Problem::SharedApart {
            parameter: copy.name.clone(),
            stage,
            owner: owner.name.clone(),
            owner_stage,
        })
    })
}
