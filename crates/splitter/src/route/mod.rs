//! Which tensors cross each stage boundary, and what each stage does with those that reach it.

mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use error::RouteError;

use crate::{ModuleGraph, Partition, TensorSpec};

/// The way of every tensor through the stages.
///
/// Stages pass tensors to their neighbours only, so that a schedule needs no more messages for one
/// model than for another: what a later stage takes travels through those between, which hand it on
/// unchanged. A tensor that several modules take travels once, as far as the last of them.
///
/// Tensors are in the order of the modules that make them and, of one module, in the order in which
/// its edges first name them. Two edges of one module that name the same tensor carry the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    stages: Vec<StageRoute>,
    boundaries: Vec<Vec<RoutedTensor>>,
}

/// What one stage does with tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageRoute {
    /// Which of the tensors that reach the stage it computes with, by their places.
    pub used: Vec<usize>,
    /// The tensors that leave the stage, in their order.
    pub sent: Vec<Sent>,
}

/// Where a tensor that leaves a stage comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is this one of the tensors that reached the stage, and goes on.
    Passed(usize),
    /// It is this one of those that the stage made for later stages.
    Made(usize),
}

/// A tensor at a stage boundary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutedTensor {
    /// The module that makes it.
    pub from: String,
    /// The modules behind the boundary that take it.
    pub to: Vec<String>,
    /// Its shape and element type.
    pub tensor: TensorSpec,
}

impl Routes {
    /// One per stage.
    pub fn stages(&self) -> &[StageRoute] {
        &self.stages
    }

    /// The tensors between each stage and the next; none behind the last stage.
    pub fn boundaries(&self) -> &[Vec<RoutedTensor>] {
        &self.boundaries
    }

    /// Whether every tensor goes from the stage that makes it to the next and no further, and every
    /// stage uses all that reaches it.
    pub fn is_plain(&self) -> bool {
        self.stages.iter().all(|stage| {
            let passes = |sent: &Sent| matches!(sent, Sent::Passed(_));
            !stage.sent.iter().any(passes)
        })
    }
}

/// Finds the way of every tensor of `graph` when it is cut into `partition`.
///
/// # Errors
/// If the graph has other modules than the partition, or edges that contradict each other about a
/// tensor. Where an edge goes beyond the next stage, it has to name its tensors; between neighbours
/// alone an edge may leave them open.
pub fn routes(graph: &ModuleGraph, partition: &Partition) -> Result<Routes, RouteError> {
    let tensors = tensors(graph, partition)?;
    let num_stages = partition.num_stages();
    let mut stages = vec![StageRoute::default(); num_stages];
    let mut boundaries = Vec::new();
    // By its place among all tensors: where it stands among those that reach the stage.
    let mut arriving: BTreeMap<usize, usize> = BTreeMap::new();
    for (stage, route) in stages.iter_mut().enumerate() {
        let is_used = |number: usize| tensors[number].takers.iter().any(|(at, _)| *at == stage);
        route.used =
            arriving.iter().filter(|(number, _)| is_used(**number)).map(|(_, at)| *at).collect();
        let mut num_made = 0;
        let mut leaving = BTreeMap::new();
        let mut boundary = Vec::new();
        for (number, tensor) in tensors.iter().enumerate() {
            let later: Vec<String> = tensor
                .takers
                .iter()
                .filter(|(at, _)| *at > stage)
                .map(|(_, taker)| (*taker).to_owned())
                .collect();
            if tensor.stage > stage || later.is_empty() {
                continue;
            }
            route.sent.push(match arriving.get(&number) {
                Some(&place) => Sent::Passed(place),
                None => {
                    num_made += 1;
                    Sent::Made(num_made - 1)
                }
            });
            leaving.insert(number, boundary.len());
            let (from, tensor) = (tensor.from.to_owned(), tensor.spec.clone());
            boundary.push(RoutedTensor { from, to: later, tensor });
        }
        if stage + 1 < num_stages {
            boundaries.push(boundary);
        }
        arriving = leaving;
    }
    Ok(Routes { stages, boundaries })
}

/// A tensor that crosses at least one boundary.
struct Crossing<'a> {
    from: &'a str,
    stage: usize,
    spec: &'a TensorSpec,
    /// The modules that take it, with their stages.
    takers: Vec<(usize, &'a str)>,
}

/// All tensors that leave their stage, in their order.
fn tensors<'a>(
    graph: &'a ModuleGraph,
    partition: &Partition,
) -> Result<Vec<Crossing<'a>>, RouteError> {
    let mut tensors: Vec<Crossing<'a>> = Vec::new();
    let mut first_of_module = 0;
    let mut module = None;
    for (from, to, specs) in graph.edges() {
        let stage_of = |name: &str| {
            partition
                .stage_of(name)
                .ok_or_else(|| RouteError::NotPlaced { module: name.to_owned() })
        };
        let (stage, to_stage) = (stage_of(&from.name)?, stage_of(&to.name)?);
        if stage == to_stage {
            continue;
        }
        // Edges come in the order of their sources.
        if module != Some(from.name.as_str()) {
            (module, first_of_module) = (Some(from.name.as_str()), tensors.len());
        }
        if specs.is_empty() && to_stage > stage + 1 {
            let (from, to) = (from.name.clone(), to.name.clone());
            return Err(RouteError::Unnamed { from, from_stage: stage, to, to_stage });
        }
        for spec in specs {
            let known = tensors[first_of_module..].iter_mut().find(|t| t.spec.name == spec.name);
            match known {
                Some(known) if known.spec == spec => known.takers.push((to_stage, &to.name)),
                Some(_) => {
                    let (from, tensor) = (from.name.clone(), spec.name.clone());
                    return Err(RouteError::TwoShapes { from, tensor });
                }
                None => tensors.push(Crossing {
                    from: &from.name,
                    stage,
                    spec,
                    takers: vec![(to_stage, &to.name)],
                }),
            }
        }
    }
    Ok(tensors)
}
