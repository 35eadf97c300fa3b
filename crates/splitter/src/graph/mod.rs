//! The module graph: a model as named nodes in data-flow order and the tensors between them.

mod cost;
mod error;
mod kept;
mod module;
mod tensor;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::unionfind::UnionFind;
use petgraph::visit::EdgeRef;

pub use cost::{BatchShape, Cost};
pub use error::GraphError;
pub use kept::Kept;
pub use module::{Module, ParameterSpec, Role};
pub use tensor::{Dim, ElementType, TensorSpec};

use crate::nearest::nearest;

/// A model as a graph of [modules](Module), without weights.
///
/// Modules are added in the order in which data flows through them, and every edge leads from an
/// earlier module to a later one; so the graph has no cycle, and its order is one to compute in.
#[derive(Clone, Debug, Default)]
pub struct ModuleGraph {
    graph: DiGraph<Module, Vec<TensorSpec>>,
    modules: BTreeMap<String, NodeIndex>,
    /// Where each parameter is: module and place within it.
    parameters: BTreeMap<String, (NodeIndex, usize)>,
    /// The sum over all modules, kept so that no partial sum can overflow.
    num_parameters: usize,
}

impl ModuleGraph {
    /// A graph without modules, to be filled by [`add_module`](Self::add_module) and
    /// [`add_edge`](Self::add_edge).
    pub fn new() -> Self {
        Self::default()
    }

    /// The usual decoder: each module feeds the next, and the same `tensors` pass between any two.
    /// Modules that are on every stage stand outside the chain.
    ///
    /// # Errors
    /// As [`add_module`](Self::add_module).
    pub fn chain(
        modules: impl IntoIterator<Item = Module>,
        tensors: &[TensorSpec],
    ) -> Result<Self, GraphError> {
        let mut graph = Self::new();
        let mut last = None;
        for module in modules {
            let role = module.role;
            let node = graph.insert(module)?;
            if role == Role::EveryStage {
                continue;
            }
            if let Some(last) = last.replace(node) {
                graph.graph.add_edge(last, node, tensors.to_vec());
            }
        }
        Ok(graph)
    }

    /// Adds a module after all that are there already.
    ///
    /// # Errors
    /// If the name or a parameter's name is taken, a module for every stage has parameters, a
    /// shared parameter has no earlier counterpart of the same shape, or the graph's parameters
    /// cannot be counted any more.
    pub fn add_module(&mut self, module: Module) -> Result<(), GraphError> {
        self.insert(module).map(drop)
    }

    /// Says that `tensors` pass from one module to a later one.
    ///
    /// # Errors
    /// If a module is not there or on every stage, `to` was not added after `from`, or the two are
    /// connected already.
    pub fn add_edge(
        &mut self,
        from: &str,
        to: &str,
        tensors: Vec<TensorSpec>,
    ) -> Result<(), GraphError> {
        let (source, target) = (self.end(from)?, self.end(to)?);
        let (from, to) = (from.to_owned(), to.to_owned());
        if source >= target {
            return Err(GraphError::AgainstFlow { from, to });
        }
        if self.graph.contains_edge(source, target) {
            return Err(GraphError::DuplicateEdge { from, to });
        }
        self.graph.add_edge(source, target, tensors);
        Ok(())
    }

    /// The module of this name.
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.modules.get(name).map(|&node| &self.graph[node])
    }

    /// The first module, by name, of those whose names begin with `prefix` and a dot.
    pub(crate) fn first_below(&self, prefix: &str) -> Option<&Module> {
        let begin = format!("{prefix}.");
        let (name, &node) = self.modules.range(begin.clone()..).next()?;
        name.starts_with(&begin).then(|| &self.graph[node])
    }

    /// All modules in data-flow order.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.graph.node_weights()
    }

    /// All edges as (from, to, tensors), in the order of their sources.
    pub fn edges(&self) -> impl Iterator<Item = (&Module, &Module, &[TensorSpec])> {
        self.graph.node_indices().flat_map(|node| {
            // petgraph lists the latest edge first.
            let mut edges: Vec<_> = self.graph.edges(node).collect();
            edges.reverse();
            edges.into_iter().map(|edge| {
                (&self.graph[edge.source()], &self.graph[edge.target()], edge.weight().as_slice())
            })
        })
    }

    /// How many modules an even split counts.
    pub fn num_layers(&self) -> usize {
        self.modules().filter(|module| module.role == Role::Layer).count()
    }

    /// How many numbers the parameters hold; shared ones count once.
    pub fn num_parameters(&self) -> usize {
        self.num_parameters
    }

    /// Every shared parameter with the parameter that it is the same tensor as and that is not shared
    /// itself, each with its module; in the order of the modules.
    pub(crate) fn shared(&self) -> impl Iterator<Item = [(&Module, &ParameterSpec); 2]> {
        // A parameter's owner is an earlier one, so that the owner's own is known by then.
        let mut owners = BTreeMap::new();
        self.modules()
            .flat_map(|module| module.parameters.iter().map(move |copy| (module, copy)))
            .filter_map(move |(module, copy)| {
                let name = copy.shared_with.as_deref()?;
                let &(node, place) = self.parameters.get(name)?;
                let direct = (&self.graph[node], &self.graph[node].parameters[place]);
                let owner = *owners.get(name).unwrap_or(&direct);
                owners.insert(copy.name.as_str(), owner);
                Some([(module, copy), owner])
            })
    }

    /// The first module that no path of edges, in any direction, connects to the first one.
    pub(crate) fn unconnected(&self) -> Option<&Module> {
        let mut groups = UnionFind::<usize>::new(self.graph.node_count());
        for edge in self.graph.edge_references() {
            groups.union(edge.source().index(), edge.target().index());
        }
        let mut nodes =
            self.graph.node_indices().filter(|&node| self.graph[node].role != Role::EveryStage);
        let first = nodes.next()?;
        nodes.find(|node| !groups.equiv(first.index(), node.index())).map(|node| &self.graph[node])
    }

    /// A module that may have edges.
    fn end(&self, name: &str) -> Result<NodeIndex, GraphError> {
        let Some(&node) = self.modules.get(name) else {
            let nearest = nearest(name, self.modules.keys());
            return Err(GraphError::UnknownModule { module: name.to_owned(), nearest });
        };
        match self.graph[node].role {
            Role::Layer | Role::Boundary => Ok(node),
            Role::EveryStage => Err(GraphError::EdgeOnEveryStage { module: name.to_owned() }),
        }
    }

    fn insert(&mut self, module: Module) -> Result<NodeIndex, GraphError> {
        let name = &module.name;
        if self.modules.contains_key(name) {
            return Err(GraphError::DuplicateModule { module: name.clone() });
        }
        if module.role == Role::EveryStage && !module.parameters.is_empty() {
            return Err(GraphError::ParametersOnEveryStage {
                module: name.clone(),
                parameter: module.parameters[0].name.clone(),
            });
        }
        // Nothing is changed before everything is checked.
        let mut num_parameters = self.num_parameters;
        let mut earlier = BTreeMap::new();
        for parameter in &module.parameters {
            num_parameters = self.count(num_parameters, parameter, &earlier)?;
            earlier.insert(parameter.name.as_str(), parameter);
        }

        let name = module.name.clone();
        let names: Vec<String> = module.parameters.iter().map(|p| p.name.clone()).collect();
        let node = self.graph.add_node(module);
        self.modules.insert(name, node);
        self.parameters
            .extend(names.into_iter().zip(0..).map(|(name, place)| (name, (node, place))));
        self.num_parameters = num_parameters;
        Ok(node)
    }

    /// `total` and the elements of `parameter`, which follows those of the graph and, by their
    /// names, the `earlier` ones of its module.
    fn count(
        &self,
        total: usize,
        parameter: &ParameterSpec,
        earlier: &BTreeMap<&str, &ParameterSpec>,
    ) -> Result<usize, GraphError> {
        let find = |name: &str| {
            let known = self.parameters.get(name);
            let known = known.map(|&(node, place)| &self.graph[node].parameters[place]);
            known.or_else(|| earlier.get(name).copied())
        };
        let name = &parameter.name;
        if find(name).is_some() {
            return Err(GraphError::DuplicateParameter { parameter: name.clone() });
        }
        let Some(owner) = &parameter.shared_with else {
            return parameter
                .num_elements()
                .and_then(|elements| total.checked_add(elements))
                .ok_or_else(|| GraphError::TooManyParameters {
                    parameter: name.clone(),
                    shape: parameter.shape.clone(),
                });
        };
        let owner = owner.clone();
        match find(&owner) {
            None => Err(GraphError::UnknownOwner { parameter: name.clone(), owner }),
            Some(found) if found.shape != parameter.shape => Err(GraphError::SharedShape {
                parameter: name.clone(),
                shape: parameter.shape.clone(),
                owner,
                owner_shape: found.shape.clone(),
            }),
            Some(_) => Ok(total),
        }
    }
}
