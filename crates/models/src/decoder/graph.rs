//! The decoder as a graph of modules.

use autopipe_splitter::{Dim, Module, ModuleGraph, ParameterSpec, TensorSpec};

use super::Decoder;
use super::part::Part;

impl Decoder {
    /// A chain through which hidden states pass.
    pub(crate) fn graph(&self) -> ModuleGraph {
        let hidden_states = TensorSpec {
            name: "hidden_states".to_owned(),
            dims: vec![Dim::Batch, Dim::Sequence, Dim::Fixed(self.shape.hidden_size)],
            dtype: self.element,
        };
        let modules = self.parts().map(|part| self.module(part));
        ModuleGraph::chain(modules, &[hidden_states])
            .expect("checked: names are distinct and the config's sizes can be counted")
    }

    fn module(&self, part: Part) -> Module {
        let parameters = self.parameters(part).into_iter().map(|planned| ParameterSpec {
            trainable: planned.trainable,
            shared_with: planned.shared_with.map(str::to_owned),
            ..ParameterSpec::new(planned.declared.name, planned.declared.shape)
        });
        let kept = part.kept_per_token(&self.shape, self.options.recompute);
        Module {
            name: part.name(),
            parameters: parameters.collect(),
            submodules: part.declare(&self.shape).part_names(),
            role: part.role(),
            flops: part.flops(&self.shape),
            activation_bytes: kept.bytes(self.element),
        }
    }
}
