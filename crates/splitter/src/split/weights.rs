//! An even split in which what stands before and after the layers counts, too.

use std::collections::BTreeMap;

use crate::partition::assemble;
use crate::{Error, ModuleGraph, Partition, Role};

/// For how many layers the ends of the model count in an even split. Whole numbers: whoever knows
/// fractions knows times, and those are for [`balance`](crate::balance).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// What comes before the first layer: the embedding.
    pub first: usize,
    /// What comes after the last layer: the last norm and the output head.
    pub last: usize,
}

/// Shares out the layers such that their number on each stage, with what the ends of the model count
/// for, is as even as it can be. Where it does not come out even, earlier stages have one more.
///
/// With no weights it is [`split_even`](crate::split_even). An end that counts for more than a
/// stage's share is left on a stage without layers.
///
/// # Errors
/// As [`split_even`](crate::split_even).
pub fn split_even_weighted(
    graph: &ModuleGraph,
    num_stages: usize,
    weights: &Weights,
) -> Result<Partition, Error> {
    let num_layers = graph.num_layers();
    if num_stages == 0 {
        return Err(Error::NoStages);
    }
    // Only an end that counts can do without a layer beside it.
    let is_alone = |weight: usize, end: Option<&crate::Module>| {
        weight > 0 && num_stages > 1 && end.is_some_and(|end| end.role == Role::Boundary)
    };
    let own = || graph.modules().filter(|module| module.role != Role::EveryStage);
    let first_alone = is_alone(weights.first, own().next());
    let last_alone = is_alone(weights.last, own().last());
    let num_alone = usize::from(first_alone) + usize::from(last_alone);
    let num_needed = (num_stages - num_alone).max(1);
    if num_layers < num_needed {
        return Err(Error::TooFewLayers { num_stages, num_needed, num_layers });
    }
    let mut stages = vec![Stage { weight: 0, least: 1, is_full: false }; num_stages];
    // The ends may be one stage.
    stages[0].weight += weights.first as u128;
    stages[num_stages - 1].weight += weights.last as u128;
    if first_alone {
        stages[0].least = 0;
    }
    if last_alone {
        stages[num_stages - 1].least = 0;
    }
    place(graph, &shares(stages, num_layers))
}

/// A stage that layers are to be given to. Wide numbers, for weights may be anything.
#[derive(Clone, Copy, Debug)]
struct Stage {
    weight: u128,
    /// Layers that it has to have.
    least: u128,
    /// Whether it is heavier than its share without any more.
    is_full: bool,
}

/// How many layers each stage gets; there are enough for the least of each.
fn shares(mut stages: Vec<Stage>, num_layers: usize) -> Vec<usize> {
    // A stage that is full leaves less to the others, so that more of them may be. Not all: what all
    // are to have is their weights and at least the least of each.
    loop {
        let (full, open): (Vec<Stage>, Vec<Stage>) = stages.iter().partition(|stage| stage.is_full);
        let taken: u128 = full.iter().map(|stage| stage.least).sum();
        let weight: u128 = open.iter().map(|stage| stage.weight).sum();
        let (total, num_open) = (weight + num_layers as u128 - taken, open.len());
        let (share, mut num_larger) = (total / num_open as u128, total % num_open as u128);
        let mut layers = Vec::with_capacity(stages.len());
        for stage in &mut stages {
            let mut target = share;
            if !stage.is_full && num_larger > 0 {
                (target, num_larger) = (share + 1, num_larger - 1);
            }
            stage.is_full |= stage.weight + stage.least > target;
            let number = if stage.is_full { stage.least } else { target - stage.weight };
            // No stage gets more than there are.
            layers.push(usize::try_from(number).unwrap_or(num_layers));
        }
        if stages.iter().filter(|stage| !stage.is_full).count() == num_open {
            return layers;
        }
    }
}

/// What comes before the first layer is on the first stage, what comes after the last one on the
/// last, and the rest with the layer before it.
fn place(graph: &ModuleGraph, shares: &[usize]) -> Result<Partition, Error> {
    let mut of_layers =
        shares.iter().enumerate().flat_map(|(stage, &share)| std::iter::repeat_n(stage, share));
    let mut num_left = graph.num_layers();
    let mut at = 0;
    let mut stages = BTreeMap::new();
    for module in graph.modules() {
        match module.role {
            Role::EveryStage => continue,
            Role::Layer => {
                at = of_layers.next().unwrap_or(at);
                num_left -= 1;
            }
            Role::Boundary if num_left == 0 => at = shares.len() - 1,
            Role::Boundary => {}
        }
        stages.insert(module.name.as_str(), at);
    }
    assemble(graph, &stages, shares.len(), Vec::new())
}
