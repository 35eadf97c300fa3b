//! What of a config's sizes contradicts another one; each for itself is known to be sane.

use super::DecoderShape;
use crate::blocks::FeedForward;
use crate::config::ConfigProblem;

/// A thousand times the largest models; bytes and operations counted from it do not overflow.
const MAX_PARAMETERS: u128 = 1 << 50;

/// More experts in a whole model than any has: each is a part with a name.
const MAX_EXPERTS: usize = 1 << 20;

impl DecoderShape {
    /// What does not fit together.
    pub(crate) fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if let Some(layer) = self.layers.first() {
            let attention = &layer.attention;
            if !attention.num_heads.is_multiple_of(attention.num_kv_heads) {
                problems.push(ConfigProblem::NotAMultiple {
                    key: "num_attention_heads",
                    value: attention.num_heads,
                    divisor_key: "num_key_value_heads",
                    divisor: attention.num_kv_heads,
                    way_out: "",
                });
            }
        }
        let experts = self.layers.iter().map(|layer| match &layer.feed_forward {
            FeedForward::Dense(_) => 0,
            FeedForward::Sparse(shape) => shape.num_experts,
        });
        let num_experts = experts.fold(0, usize::saturating_add);
        if num_experts > MAX_EXPERTS {
            problems.push(ConfigProblem::Size {
                key: "num_experts of all layers".to_owned(),
                value: num_experts,
                max: MAX_EXPERTS,
            });
            return problems;
        }
        let num_parameters = self.num_parameters();
        if num_parameters > MAX_PARAMETERS {
            problems.push(ConfigProblem::TooManyParameters { num_parameters, max: MAX_PARAMETERS });
        }
        problems
    }
}
