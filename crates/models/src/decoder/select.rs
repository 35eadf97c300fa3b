//! From the names of a stage's modules to the modules: they have to be one piece of the decoder.

use super::part::{Part, parts};
use crate::nearest::{hint, nearest};

/// One thing that is wrong with the list of modules that a stage is to be built of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleProblem {
    /// No module of the model.
    #[error("there is no module `{name}`{}", hint(.nearest))]
    Unknown {
        /// The name given.
        name: String,
        /// The module that was probably meant.
        nearest: Option<String>,
    },
    /// A module listed twice.
    #[error("`{name}` is listed twice")]
    Repeated {
        /// The module.
        name: String,
    },
    /// The list goes against the data flow.
    #[error("`{name}` is listed after `{later}`, which comes after it in the model")]
    Order {
        /// The module.
        name: String,
        /// The one before it in the list.
        later: String,
    },
    /// What lies between two modules of the stage is not on it.
    #[error("the data flows from `{from}` to `{to}` through `{missing}`, which is not listed")]
    Gap {
        /// The module before the gap.
        from: String,
        /// The module after it.
        to: String,
        /// The first module missing.
        missing: String,
    },
    /// Nothing to compute.
    #[error("a stage needs the embedding, a layer, the norm or the head, and has none")]
    Empty,
}

/// The modules named, in their order.
pub(super) fn select(names: &[String], num_layers: usize) -> Result<Vec<Part>, Vec<ModuleProblem>> {
    let all: Vec<(String, Part)> = parts(num_layers).map(|part| (part.name(), part)).collect();
    let mut problems = Vec::new();
    let mut chosen: Vec<Part> = Vec::new();
    for name in names {
        match all.iter().find(|(known, _)| known == name) {
            Some((_, part)) if chosen.contains(part) => {
                problems.push(ModuleProblem::Repeated { name: name.clone() });
            }
            Some((_, part)) => chosen.push(*part),
            None => {
                let nearest =
                    nearest(name, all.iter().map(|(known, _)| known.as_str())).map(str::to_owned);
                problems.push(ModuleProblem::Unknown { name: name.clone(), nearest });
            }
        }
    }
    // The rotary tables stand outside of the chain.
    let chain: Vec<Part> = parts(num_layers).filter(|part| *part != Part::Rotary).collect();
    let mut places =
        chosen.iter().filter_map(|part| chain.iter().position(|in_chain| in_chain == part));
    match places.next() {
        None if problems.is_empty() => problems.push(ModuleProblem::Empty),
        None => {}
        Some(first) => {
            let mut last = first;
            for place in places {
                let (from, to) = (chain[last].name(), chain[place].name());
                if place < last {
                    problems.push(ModuleProblem::Order { name: to, later: from });
                } else if place > last + 1 {
                    problems.push(ModuleProblem::Gap { from, to, missing: chain[last + 1].name() });
                }
                last = place;
            }
        }
    }
    if problems.is_empty() { Ok(chosen) } else { Err(problems) }
}
