//! Which tensors leave their place, and who takes them: what routes and the time of sending are made
//! from.

use std::collections::BTreeMap;

use crate::{Module, ModuleGraph, TensorSpec};

/// A tensor that is taken at a later place than it is made.
#[derive(Debug)]
pub(crate) struct Crossing<'a> {
    pub(crate) from: &'a Module,
    /// Where it is made.
    pub(crate) start: usize,
    pub(crate) spec: &'a TensorSpec,
    /// The modules that take it elsewhere, each once, with their places.
    pub(crate) takers: Vec<(usize, &'a Module)>,
    /// Whether another edge of the module has a tensor of this name and of another shape or type.
    pub(crate) is_ambiguous: bool,
}

impl Crossing<'_> {
    /// The last place where it is taken.
    pub(crate) fn end(&self) -> usize {
        self.takers.iter().map(|(place, _)| *place).max().unwrap_or(self.start)
    }
}

/// All of them, in the order of the modules that make them and, of one module, in the order in which
/// its edges first name them. Modules without a place do not count.
pub(crate) fn crossings<'a>(
    graph: &'a ModuleGraph,
    place: impl Fn(&'a Module) -> Option<usize>,
) -> Vec<Crossing<'a>> {
    let mut crossings: Vec<Crossing<'a>> = Vec::new();
    let mut of_module: BTreeMap<&str, usize> = BTreeMap::new();
    let mut module = None;
    for (from, to, specs) in graph.edges() {
        // Edges come in the order of their sources.
        if module != Some(from.name.as_str()) {
            module = Some(from.name.as_str());
            of_module.clear();
        }
        let (Some(start), Some(end)) = (place(from), place(to)) else { continue };
        if start == end {
            continue;
        }
        for spec in specs {
            let number = *of_module.entry(&spec.name).or_insert(crossings.len());
            let Some(known) = crossings.get_mut(number) else {
                let takers = vec![(end, to)];
                crossings.push(Crossing { from, start, spec, takers, is_ambiguous: false });
                continue;
            };
            known.is_ambiguous |= known.spec != spec;
            // An edge may name a tensor twice.
            if known.takers.last().is_none_or(|(_, last)| last.name != to.name) {
                known.takers.push((end, to));
            }
        }
    }
    crossings
}
