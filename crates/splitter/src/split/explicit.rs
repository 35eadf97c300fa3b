//! Stages as somebody has written them down.

use std::collections::BTreeMap;

use crate::nearest::nearest;
use crate::partition::assemble;
use crate::{Error, ModuleGraph, Partition, Problem, Role};

/// For how many unknown names the nearest module is looked for, which takes time in proportion to
/// all modules: enough for any list that a person has written.
const MOST_NEAREST: usize = 32;

/// Puts on each stage the modules that its list names (`module_fqns_per_model_part`).
///
/// A list is a set: whatever its order, the stage computes in the order of the graph. What is for
/// every stage may be listed or not.
///
/// # Errors
/// If there is no list, a module is not connected to the others, or the lists do not make up the
/// model. The last error holds everything at once: unknown names, parts and groups of modules,
/// modules that are listed twice or missing, stages without a module, and stages in an order against the data
/// flow.
pub fn split_explicit(graph: &ModuleGraph, lists: &[Vec<String>]) -> Result<Partition, Error> {
    if lists.is_empty() {
        return Err(Error::NoStages);
    }
    let mut stages = BTreeMap::new();
    let mut problems = Vec::new();
    let mut num_unknown = 0;
    for (stage, list) in lists.iter().enumerate() {
        let mut has_own = false;
        for name in list {
            match graph.module(name).map(|module| module.role) {
                Some(Role::EveryStage) => continue,
                Some(Role::Layer | Role::Boundary) => {
                    if let Some(&first) = stages.get(name.as_str()) {
                        let module = name.clone();
                        problems.push(Problem::Duplicate { module, first, second: stage });
                    } else {
                        stages.insert(name.as_str(), stage);
                    }
                }
                None => {
                    problems.push(unknown(graph, stage, name, num_unknown < MOST_NEAREST));
                    num_unknown += 1;
                }
            }
            has_own = true;
        }
        if !has_own {
            problems.push(Problem::EmptyStage { stage });
        }
    }
    let missing = graph.modules().filter(|module| {
        module.role != Role::EveryStage && !stages.contains_key(module.name.as_str())
    });
    problems.extend(missing.map(|module| Problem::Missing { module: module.name.clone() }));
    assemble(graph, &stages, lists.len(), problems)
}

/// Why a name is no module.
fn unknown(graph: &ModuleGraph, stage: usize, name: &str, search: bool) -> Problem {
    let around = name.match_indices('.').find_map(|(dot, _)| graph.module(&name[..dot]));
    if let Some(module) = around {
        return Problem::Inside { stage, inner: name.to_owned(), module: module.name.clone() };
    }
    if let Some(module) = graph.first_below(name) {
        return Problem::Prefix { stage, prefix: name.to_owned(), module: module.name.clone() };
    }
    let names = graph.modules().map(|module| &module.name);
    let nearest = if search { nearest(name, names) } else { None };
    Problem::UnknownModule { stage, module: name.to_owned(), nearest }
}
