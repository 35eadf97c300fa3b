//! The fields of a mixture of experts.

use super::sizes::Sizes;
use crate::blocks::{ExpertsShape, MlpShape};
use crate::config::{ConfigProblem, Fields, Min};

/// How many experts there are, and how many of them each token is sent to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) num: usize,
    pub(super) per_token: usize,
}

/// The experts of a layer. Their number may stand under several names: transformers 5 writes the
/// last one.
pub(super) fn experts(
    fields: &mut Fields,
    sizes: &Sizes,
    names: &[&str],
    default: Counts,
    expert: MlpShape,
) -> ExpertsShape {
    let given = names.iter().map(|name| (*name, fields.optional_size(name, None)));
    let given: Vec<(&str, usize)> = given.filter_map(|(name, num)| Some((name, num?))).collect();
    if let [(first, a), (second, b)] = given[..]
        && a != b
    {
        fields.disagree((first.to_owned(), &a.into()), (second.to_owned(), &b.into()));
    }
    let num = given.first().map_or(default.num, |(_, num)| *num);
    for name in names {
        fields.set(name, num);
    }
    let per_token = fields.size("num_experts_per_tok", default.per_token);
    if per_token > num && !fields.hide_a_value() {
        fields.report(ConfigProblem::Experts { per_token, num });
    }
    let weight = fields.number("router_aux_loss_coef", 0.001, Min::Zero);
    let is_balanced = fields.flag("output_router_logits", false) && weight > 0.0;
    ExpertsShape {
        hidden_size: sizes.hidden_size,
        num_experts: num,
        num_per_token: per_token.min(num),
        is_normalised: true,
        balance: is_balanced.then_some(weight),
        block_name: "mlp",
        expert,
    }
}
