//! Which parameters have copies on several stages, as the program's groups number them.

use std::collections::BTreeMap;

use autopipe_runtime::Tie;
use autopipe_schedule::Stage;
use autopipe_splitter::{ModuleGraph, Partition};

use crate::Error;

/// A tie for each trainable tensor with copies on several stages, in the order in which the model
/// first shares them. Copies of a frozen one stay equal by themselves.
pub(super) fn ties(graph: &ModuleGraph, partition: &Partition) -> Result<Vec<Tie>, Error> {
    let parameters = graph.modules().flat_map(|module| &module.parameters);
    let is_trainable: BTreeMap<&str, bool> =
        parameters.map(|parameter| (parameter.name.as_str(), parameter.trainable)).collect();
    let mut ties: Vec<Tie> = Vec::new();
    let mut by_owner: BTreeMap<&str, usize> = BTreeMap::new();
    for tied in partition.tied() {
        let is_trained = is_trainable.get(tied.owner.as_str());
        if is_trainable.get(tied.parameter.as_str()) != is_trained {
            let (parameter, owner) = (tied.parameter.clone(), tied.owner.clone());
            return Err(Error::HalfFrozen { parameter, owner });
        }
        if is_trained == Some(&false) {
            continue;
        }
        let place = *by_owner.entry(&tied.owner).or_insert_with(|| {
            let owner = (Stage::new(tied.owner_stage), vec![tied.owner.clone()]);
            ties.push(Tie { copies: BTreeMap::from([owner]) });
            ties.len() - 1
        });
        let copies = &mut ties[place].copies;
        copies.entry(Stage::new(tied.stage)).or_default().push(tied.parameter.clone());
    }
    Ok(ties)
}
