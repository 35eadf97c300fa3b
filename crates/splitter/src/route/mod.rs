//! Which tensors cross each stage boundary, and what each stage does with those that reach it.

mod crossing;
mod error;
#[cfg(test)]
mod tests;

pub(crate) use crossing::{Crossing, crossings};
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
    check(graph, partition)?;
    let tensors = crossings(graph, |module| partition.stage_of(&module.name));
    if let Some(tensor) = tensors.iter().find(|tensor| tensor.is_ambiguous) {
        let (from, tensor) = (tensor.from.name.clone(), tensor.spec.name.clone());
        return Err(RouteError::TwoShapes { from, tensor });
    }
    let num_stages = partition.num_stages();
    let mut made_on: Vec<Vec<usize>> = vec![Vec::new(); num_stages];
    // In the partition of another graph an edge may lead back.
    for (number, tensor) in tensors.iter().enumerate().filter(|(_, t)| t.end() > t.start) {
        made_on[tensor.start].push(number);
    }
    let mut stages = Vec::with_capacity(num_stages);
    let mut boundaries = Vec::new();
    // Those that reach the stage, by their places among all tensors.
    let mut arriving: Vec<usize> = Vec::new();
    for (stage, made) in made_on.into_iter().enumerate() {
        let is_used = |number: usize| tensors[number].takers.iter().any(|(at, _)| *at == stage);
        let places = arriving.iter().enumerate();
        let used = places.filter(|(_, number)| is_used(**number)).map(|(place, _)| place).collect();
        let passed = (arriving.iter().enumerate())
            .filter(|(_, number)| tensors[**number].end() > stage)
            .map(|(place, &number)| (number, Sent::Passed(place)));
        let made = made.into_iter().enumerate().map(|(nth, number)| (number, Sent::Made(nth)));
        let mut leaving: Vec<(usize, Sent)> = passed.chain(made).collect();
        leaving.sort_by_key(|(number, _)| *number);
        if stage + 1 < num_stages {
            let boundary = leaving.iter().map(|(number, _)| behind(&tensors[*number], stage));
            boundaries.push(boundary.collect());
        }
        arriving = leaving.iter().map(|(number, _)| *number).collect();
        let sent = leaving.into_iter().map(|(_, sent)| sent).collect();
        stages.push(StageRoute { used, sent });
    }
    Ok(Routes { stages, boundaries })
}

/// A tensor at the boundary behind `stage`.
fn behind(tensor: &Crossing<'_>, stage: usize) -> RoutedTensor {
    let takers = tensor.takers.iter().filter(|(at, _)| *at > stage);
    RoutedTensor {
        from: tensor.from.name.clone(),
        to: takers.map(|(_, taker)| taker.name.clone()).collect(),
        tensor: tensor.spec.clone(),
    }
}

/// Whether each edge has its ends on stages, and says what passes where stages between have to know.
fn check(graph: &ModuleGraph, partition: &Partition) -> Result<(), RouteError> {
    let stage_of = |name: &str| {
        let stage = partition.stage_of(name);
        stage.ok_or_else(|| RouteError::NotPlaced { module: name.to_owned() })
    };
    for (from, to, specs) in graph.edges() {
        let (from_stage, to_stage) = (stage_of(&from.name)?, stage_of(&to.name)?);
        if specs.is_empty() && to_stage > from_stage + 1 {
            let (from, to) = (from.name.clone(), to.name.clone());
            return Err(RouteError::Unnamed { from, from_stage, to, to_stage });
        }
    }
    Ok(())
}
