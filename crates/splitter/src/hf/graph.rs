//! From what was read to a graph of named modules.

use super::HfProblem;
use super::block::{Block, Numbers};
use super::decoder::{Decoder, Layer};
use super::towers::Tower;
use crate::{Cost, Dim, ElementType, Kept, Module, ModuleGraph, ParameterSpec, Role, TensorSpec};

/// A thousand times the largest models; bytes and operations counted from it do not overflow.
const MAX_PARAMETERS: u128 = 1 << 50;

/// Five times the largest models, which have experts by the hundred in each layer.
const MAX_NAMES: u128 = 1 << 20;

/// A decoder, what stands before it, and how it is all called.
pub(super) struct NamedModel {
    pub(super) towers: Vec<Tower>,
    pub(super) tower_prefix: String,
    pub(super) decoder: Decoder,
    /// What comes before `layers.0`.
    pub(super) text_prefix: String,
    pub(super) lm_head: Option<String>,
    pub(super) is_tied: bool,
    pub(super) dtype: ElementType,
}

impl NamedModel {
    /// The full name of a tower.
    pub(super) fn tower_name(&self, tower: &Tower) -> String {
        format!("{}{}", self.tower_prefix, tower.name)
    }

    /// What is too much for a graph, found without making it.
    pub(super) fn problems(&self) -> Vec<HfProblem> {
        let Decoder { sizes, layers, norm, .. } = &self.decoder;
        let blocks = || {
            let towers = self.towers.iter().map(|tower| &tower.block);
            towers.chain(layers.iter().map(|layer| &layer.block)).chain([norm])
        };
        let embedding = sizes.vocab_size as u128 * sizes.hidden_size as u128;
        let has_own_head = self.lm_head.is_some() && !self.is_tied;
        let outer = if has_own_head { 2 * embedding } else { embedding };
        let num_parameters = outer + blocks().map(Block::num_parameters).sum::<u128>();
        let num_names = blocks().map(Block::num_names).sum::<u128>();
        let mut problems = Vec::new();
        if num_parameters > MAX_PARAMETERS {
            problems.push(HfProblem::TooManyParameters { num_parameters, max: MAX_PARAMETERS });
        }
        if num_names > MAX_NAMES {
            problems.push(HfProblem::TooManyNames { num_names, max: MAX_NAMES });
        }
        problems
    }

    /// Towers lead to the first layer, where their features take the places that were kept for them
    /// in the embedded text.
    pub(super) fn graph(&self) -> ModuleGraph {
        let names: Vec<String> = self.towers.iter().map(|tower| self.tower_name(tower)).collect();
        let mut modules: Vec<Module> =
            self.towers.iter().zip(&names).map(|(tower, name)| self.tower(tower, name)).collect();
        let text = self.text_modules();
        let is_in_chain = |module: &&Module| module.role != Role::EveryStage;
        let chain: Vec<String> =
            text.iter().filter(is_in_chain).map(|module| module.name.clone()).collect();
        modules.extend(text);

        let mut graph = ModuleGraph::new();
        for module in modules {
            graph.add_module(module).expect("checked: names are distinct and can be counted");
        }
        let mut connect = |from: &str, to: &str, tensor: TensorSpec| {
            graph.add_edge(from, to, vec![tensor]).expect("modules were added in data-flow order");
        };
        let first_layer = chain.get(1).expect("a decoder has an embedding and a layer");
        for (place, tower) in self.towers.iter().enumerate() {
            let to = names.get(place + 1).unwrap_or(first_layer);
            let width = Dim::Fixed(tower.out.width);
            let dims = vec![Dim::Batch, Dim::Fixed(tower.out.num_tokens), width];
            connect(&names[place], to, self.tensor("features", dims));
        }
        for pair in chain.windows(2) {
            let dims = vec![Dim::Batch, Dim::Sequence, Dim::Fixed(self.decoder.sizes.hidden_size)];
            connect(&pair[0], &pair[1], self.tensor("hidden_states", dims));
        }
        graph
    }

    /// The decoder, in the order in which transformers registers its modules.
    fn text_modules(&self) -> Vec<Module> {
        let Decoder { sizes, layers, norm, .. } = &self.decoder;
        let hidden = sizes.hidden_size;
        let named = |name: &str| format!("{}{name}", self.text_prefix);
        let boundary = |name: String, block: &Block| self.module(name, block, Role::Boundary);
        let width = hidden as u128;
        let embedding = named("embed_tokens");
        let owner = format!("{embedding}.weight");
        // Of several ranks each also keeps what it has looked up, before and after it has left out the
        // rows of others.
        let embed = Block::embedding(sizes.vocab_size, hidden).keeping(width).adding(2 * width);
        let mut modules = vec![boundary(embedding, &embed)];
        for (number, Layer { block, window }) in layers.iter().enumerate() {
            let mut layer = self.module(named(&format!("layers.{number}")), block, Role::Layer);
            layer.flops.window = *window;
            modules.push(layer);
        }
        modules.push(boundary(named("norm"), &norm.clone().keeping(width)));
        modules.push(self.module(named("rotary_emb"), &Block::empty(), Role::EveryStage));
        if let Some(name) = &self.lm_head {
            let head = Block::linear(hidden, sizes.vocab_size);
            let head = head.keeping_parts(sizes.vocab_size as u128).adding(width);
            let mut head = boundary(name.clone(), &head);
            for parameter in head.parameters.iter_mut().filter(|_| self.is_tied) {
                parameter.shared_with = Some(owner.clone());
            }
            modules.push(head);
        }
        modules
    }

    /// A module whose costs grow with the text.
    fn module(&self, name: String, block: &Block, role: Role) -> Module {
        let flops = Cost {
            per_pair: counted(block.flops_per_pair()),
            ..Cost::per_token(counted(block.flops_per_token()))
        };
        Module {
            parameters: parameters(block, &name),
            submodules: block.part_names(),
            role,
            flops,
            activation_bytes: self.kept(block, |bytes| Cost::per_token(counted(bytes))),
            name,
        }
    }

    /// A module whose costs grow with the samples: all its tokens attend to each other.
    fn tower(&self, tower: &Tower, name: &str) -> Module {
        let block = &tower.block;
        let tokens = tower.num_tokens as u128;
        let pairs = tokens.saturating_mul(tokens).saturating_mul(block.flops_per_pair());
        let flops = tokens.saturating_mul(block.flops_per_token()).saturating_add(pairs);
        let per_sample = |number| Cost { per_sample: counted(number), ..Cost::default() };
        Module {
            parameters: parameters(block, name),
            submodules: block.part_names(),
            role: Role::Boundary,
            flops: per_sample(flops),
            activation_bytes: self.kept(block, |bytes| per_sample(tokens.saturating_mul(bytes))),
            name: name.to_owned(),
        }
    }

    /// What it keeps, with what `cost` makes of the bytes for a token.
    fn kept(&self, block: &Block, cost: impl Fn(u128) -> Cost) -> Kept {
        let Numbers { whole, cut, added } = block.kept_per_token();
        let cost = |numbers: u128| cost(numbers * self.dtype.size_in_bytes() as u128);
        Kept { whole: cost(whole), cut: cost(cut), added: cost(added) }
    }

    fn tensor(&self, name: &str, dims: Vec<Dim>) -> TensorSpec {
        TensorSpec { name: name.to_owned(), dims, dtype: self.dtype }
    }
}

fn parameters(block: &Block, path: &str) -> Vec<ParameterSpec> {
    let declared = block.parameters(path).into_iter();
    declared
        .map(|p| ParameterSpec { trainable: p.is_trainable, ..ParameterSpec::new(p.name, p.shape) })
        .collect()
}

/// What is beyond a `u64` is as much too much as the most of it.
fn counted(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
