//! The same number of layers for each stage, as nearly as it can be.

use std::collections::BTreeMap;

use crate::error::MOST_LISTED;
use crate::partition::assemble;
use crate::{Error, ModuleGraph, Partition, Role};

/// Gives each of `num_stages` stages `num_layers / num_stages` layers, and one more to each of the
/// first `num_layers % num_stages`.
///
/// Only layers are counted. What comes before the first layer goes to the first stage, and anything
/// else between or after layers to the stage of the layer before it: so embeddings are on the first
/// stage, and the last norm and the output head on the last. What is for every stage is on every
/// stage.
///
/// # Errors
/// If there is no stage, there are fewer layers than stages or more than a million, or a module is
/// not connected to the others.
pub fn split_even(graph: &ModuleGraph, num_stages: usize) -> Result<Partition, Error> {
    let stage_of_layer = layer_stages(graph.num_layers(), num_stages)?;
    let mut num_seen = 0_usize;
    let mut stages = BTreeMap::new();
    for module in graph.modules() {
        match module.role {
            Role::Layer => num_seen += 1,
            Role::Boundary => {}
            Role::EveryStage => continue,
        }
        let layer = num_seen.saturating_sub(1);
        stages.insert(module.name.as_str(), stage_of_layer(layer));
    }
    assemble(graph, &stages, num_stages, Vec::new())
}

/// From the number of a layer to its stage.
pub(crate) fn layer_stages(
    num_layers: usize,
    num_stages: usize,
) -> Result<impl Fn(usize) -> usize, Error> {
    if num_stages == 0 {
        return Err(Error::NoStages);
    }
    if num_layers < num_stages {
        return Err(Error::TooFewLayers { num_stages, num_needed: num_stages, num_layers });
    }
    if num_layers > MOST_LISTED {
        return Err(Error::TooMany { what: "layers", number: num_layers });
    }
    let (size, num_larger) = (num_layers / num_stages, num_layers % num_stages);
    let in_larger = num_larger * (size + 1);
    Ok(
        move |layer| {
            if layer < in_larger {
                layer / (size + 1)
            } else {
                num_larger + (layer - in_larger) / size
            }
        },
    )
}
