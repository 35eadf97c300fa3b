//! From the fields of a `config.json` to a `LlamaConfig`.

use serde_json::Value;

use super::{LlamaConfig, rope};
use crate::config::{ConfigProblem, Fields};

/// The config and everything that cannot be read or is not implemented. With problems, the config is
/// only good to look for more of them.
pub(super) fn read(json: &Value) -> (LlamaConfig, Vec<ConfigProblem>) {
    let mut fields = Fields::new(json);
    let default = LlamaConfig::default();
    refuse_other_mathematics(&mut fields);

    let hidden_size = fields.size("hidden_size", default.hidden_size);
    let num_attention_heads = fields.size("num_attention_heads", default.num_attention_heads);
    let head_dim = match fields.optional_size("head_dim") {
        Some(head_dim) => head_dim,
        None => match hidden_size.checked_rem(num_attention_heads) {
            Some(0) => hidden_size / num_attention_heads,
            // No heads at all is reported with the other sizes.
            None => default.head_dim,
            Some(_) => {
                fields.report(ConfigProblem::NotAMultiple {
                    key: "hidden_size",
                    value: hidden_size,
                    divisor_key: "num_attention_heads",
                    divisor: num_attention_heads,
                    way_out: "; or give `head_dim`",
                });
                default.head_dim
            }
        },
    };
    let mut config = LlamaConfig {
        hidden_size,
        num_attention_heads,
        head_dim,
        num_key_value_heads: fields
            .optional_size("num_key_value_heads")
            .unwrap_or(num_attention_heads),
        vocab_size: fields.size("vocab_size", default.vocab_size),
        intermediate_size: fields.size("intermediate_size", default.intermediate_size),
        num_hidden_layers: fields.size("num_hidden_layers", default.num_hidden_layers),
        max_position_embeddings: fields
            .size("max_position_embeddings", default.max_position_embeddings),
        rms_norm_eps: fields.number("rms_norm_eps", default.rms_norm_eps),
        initializer_range: fields.number("initializer_range", default.initializer_range),
        rope_theta: rope::theta(&mut fields, default.rope_theta),
        attention_bias: fields.flag("attention_bias", default.attention_bias),
        mlp_bias: fields.flag("mlp_bias", default.mlp_bias),
        extra: serde_json::Map::new(),
    };
    let (extra, problems) = fields.finish();
    config.extra = extra;
    (config, problems)
}

/// Refuses by name what would compute something else than these layers do.
fn refuse_other_mathematics(fields: &mut Fields) {
    let is_zero = |value: &Value| value.as_f64() == Some(0.0);
    let is_one = |value: &Value| value.as_f64() == Some(1.0);
    let is_false = |value: &Value| value.as_bool() == Some(false);
    fields.refuse_unless("model_type", |value| value == "llama", "\"llama\"");
    fields.refuse_unless("architectures", is_causal_lm, "[\"LlamaForCausalLM\"]");
    fields.refuse_unless("hidden_act", |value| value == "silu", "\"silu\"");
    fields.refuse_unless("attention_dropout", is_zero, "0.0");
    fields.refuse_unless("partial_rotary_factor", is_one, "1.0");
    fields.refuse_unless("pretraining_tp", is_one, "1");
    fields.refuse_unless("quantization_config", |_| false, "a checkpoint that is not quantized");
    let untied = "false; with tied weights, save the model once with `lm_head.weight` as a weight of its own";
    fields.refuse_unless("tie_word_embeddings", is_false, untied);
}

fn is_causal_lm(value: &Value) -> bool {
    value.as_array().is_some_and(|names| {
        names.is_empty() || names.iter().any(|name| name == "LlamaForCausalLM")
    })
}
