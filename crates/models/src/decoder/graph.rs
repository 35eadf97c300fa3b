//! The decoder as a graph of modules.

use autopipe_splitter::{Dim, Module, ModuleGraph, ParameterSpec, TensorSpec};

use super::part::{Part, parts};
use super::{DecoderShape, ELEMENT_TYPE};

impl DecoderShape {
    /// A chain through which hidden states pass.
    pub(crate) fn graph(&self) -> ModuleGraph {
        let hidden_states = TensorSpec {
            name: "hidden_states".to_owned(),
            dims: vec![Dim::Batch, Dim::Sequence, Dim::Fixed(self.layer.hidden_size)],
            dtype: ELEMENT_TYPE,
        };
        let modules = parts(self.num_layers).map(|part| self.module(part));
        ModuleGraph::chain(modules, &[hidden_states])
            .expect("checked: names are distinct and the config's sizes can be counted")
    }

    fn module(&self, part: Part) -> Module {
        let name = part.name();
        let declaration = part.declare(self);
        let parameters = declaration.parameters(&name);
        Module {
            parameters: parameters
                .into_iter()
                .map(|p| ParameterSpec::new(p.name, p.shape))
                .collect(),
            submodules: declaration.part_names(),
            role: part.role(),
            flops: part.flops(self, &declaration),
            activation_bytes: part.activation_bytes(self),
            name,
        }
    }
}
