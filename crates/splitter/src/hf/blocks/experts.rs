//! Mixtures of experts: how many there are, and which layers have them.

use std::collections::BTreeSet;

use super::gated_mlp;
use crate::hf::HfProblem;
use crate::hf::block::{Bias, Block};
use crate::hf::fields::Fields;

/// How many experts a layer has, and to how many of them each token is sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::hf) struct Routing {
    pub(in crate::hf) num: usize,
    pub(in crate::hf) active: usize,
}

impl Routing {
    /// Reads the number of experts from any of `keys`, which are spellings of one field. None of
    /// them, by a 0 or a `null`, makes all layers dense.
    pub(in crate::hf) fn read(fields: &Fields<'_>, keys: &[&'static str], default: Self) -> Self {
        let (key, num) = fields.any_count(keys, default.num);
        let active_key = "num_experts_per_tok";
        let active = fields.size(active_key, default.active.min(num.max(1)));
        if active > num && num > 0 {
            fields.report(HfProblem::TooFewExperts {
                key: fields.key(active_key),
                value: active,
                experts_key: fields.key(key),
                num_experts: num,
            });
        }
        Self { num, active }
    }
}

/// Which layers have experts.
#[derive(Clone, Debug)]
pub(in crate::hf) enum Sparsity {
    /// Every `step`-th one, the first of them at `step - 1`, but for the `dense` ones.
    EveryNth { step: usize, dense: BTreeSet<usize> },
    /// Those from `first` on whose number is a multiple of `step`.
    From { first: usize, step: usize },
}

impl Sparsity {
    /// From `decoder_sparse_step` and `mlp_only_layers`.
    pub(in crate::hf) fn read_every_nth(fields: &Fields<'_>) -> Self {
        let step = fields.size("decoder_sparse_step", 1);
        let dense = fields.layers("mlp_only_layers").unwrap_or_default();
        Self::EveryNth { step, dense: dense.into_iter().collect() }
    }

    /// From `first_k_dense_replace` and `moe_layer_freq`.
    pub(in crate::hf) fn read_from(fields: &Fields<'_>, default_first: usize) -> Self {
        let first = fields.any_count(&["first_k_dense_replace"], default_first).1;
        Self::From { first, step: fields.size("moe_layer_freq", 1) }
    }

    pub(in crate::hf) fn is_sparse(&self, layer: usize) -> bool {
        match self {
            Self::EveryNth { step, dense } => {
                (layer + 1).is_multiple_of(*step) && !dense.contains(&layer)
            }
            Self::From { first, step } => layer >= *first && layer.is_multiple_of(*step),
        }
    }
}

/// A router of this name and experts of their own names, each like `expert`. Kept are the router's
/// scores, and of each expert that a token is sent to its input, what it keeps, and its result, alone
/// and beside those of the others.
pub(in crate::hf) fn experts(
    router: &'static str,
    hidden_size: usize,
    routing: Routing,
    expert: Block,
) -> Block {
    let router = (router, Block::linear(hidden_size, routing.num));
    experts_behind(router, hidden_size, routing, expert)
}

/// The same behind any router.
pub(in crate::hf) fn experts_behind(
    router: (&'static str, Block),
    hidden_size: usize,
    routing: Routing,
    expert: Block,
) -> Block {
    let expert = expert.keeping(3 * hidden_size as u128);
    Block::of([router])
        .with_choice("experts", routing.num, routing.active, expert)
        .keeping(routing.num as u128)
}

/// A router whose scores are corrected by what is learned apart from the loss.
pub(in crate::hf) fn corrected_router(hidden_size: usize, routing: Routing) -> Block {
    let router = Block::linear(hidden_size, routing.num);
    router.constant("e_score_correction_bias", [routing.num])
}

/// Experts and beside them `num` that every token is sent to, as one block of their width together.
pub(in crate::hf) fn with_shared_experts(
    experts: Block,
    hidden_size: usize,
    inner: usize,
    num: usize,
) -> Block {
    if num == 0 {
        return experts;
    }
    experts.with("shared_experts", gated_mlp(hidden_size, inner * num, Bias::None))
}
