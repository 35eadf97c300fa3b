//! Which configs are read, and which are refused in which words.

use serde_json::{Value, json};

use super::LlamaConfig;
use crate::Error;

/// A small config with `changes` made to it.
fn with(changes: Value) -> Value {
    let mut config = json!({
        "model_type": "llama", "vocab_size": 256, "hidden_size": 64, "intermediate_size": 176,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    });
    if let (Value::Object(config), Value::Object(changes)) = (&mut config, changes) {
        config.extend(changes);
    }
    config
}

fn read(changes: Value) -> LlamaConfig {
    LlamaConfig::from_json(&with(changes)).unwrap()
}

#[track_caller]
fn refused(changes: Value, expected: &[&str]) {
    let Err(Error::Config { problems }) = LlamaConfig::from_json(&with(changes)) else {
        panic!("the config is not refused")
    };
    let messages: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(messages, expected);
}

#[test]
fn nothing_given_is_llama_7b() {
    assert_eq!(LlamaConfig::from_json(&json!({})).unwrap(), LlamaConfig::default());
}

#[test]
fn head_sizes_follow_from_the_others() {
    let config = read(json!({"num_key_value_heads": null, "head_dim": null}));
    assert_eq!((config.num_key_value_heads, config.head_dim), (4, 16));
    let config = read(json!({"num_attention_heads": 6, "head_dim": 10}));
    assert_eq!((config.num_key_value_heads, config.head_dim), (2, 10));
}

#[test]
fn both_spellings_of_the_rotary_base() {
    let cases = [
        json!({"rope_theta": 500_000.0, "rope_scaling": null}),
        json!({"rope_theta": 500_000, "rope_scaling": {"type": "default"}}),
        json!({"rope_parameters": {"rope_theta": 500_000.0, "rope_type": "default"}}),
        json!({"rope_scaling": {"rope_theta": 500_000.0, "rope_type": "default"}}),
        json!({"rope_theta": 500_000.0, "rope_parameters": {"rope_theta": 500_000.0, "rope_type": "default"}}),
    ];
    for case in cases {
        assert_eq!(read(case.clone()).rope_theta, 500_000.0, "{case}");
    }
    refused(
        json!({"rope_theta": 10_000.0, "rope_parameters": {"rope_theta": 500_000.0}}),
        &[
            "`rope_theta` is 10000.0, but `rope_parameters.rope_theta` is 500000.0; keep one of them",
        ],
    );
}

#[test]
fn scaled_rotary_embeddings_are_refused() {
    let message = |key, kind| {
        format!(
            "`{key}` is {kind}, which is not implemented; supported is a `rope_type` of \"default\", with \
             `rope_theta` and no scaling"
        )
    };
    refused(
        json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}}),
        &[&message("rope_scaling.rope_type", "\"llama3\""), &message("rope_scaling.factor", "8.0")],
    );
    refused(
        json!({"rope_parameters": {"full_attention": {"rope_theta": 10_000.0}}}),
        &[&message("rope_parameters.full_attention", "{\"rope_theta\":10000.0}")],
    );
    refused(json!({"rope_scaling": 2}), &["`rope_scaling` is 2, expected an object or null"]);
    refused(json!({"rope_theta": "10000"}), &["`rope_theta` is \"10000\", expected a number"]);
}

#[test]
fn other_mathematics_is_refused_all_at_once() {
    refused(
        json!({
            "model_type": "qwen3", "architectures": ["LlamaForSequenceClassification"], "hidden_act": "gelu",
            "attention_dropout": 0.1, "partial_rotary_factor": 0.5, "pretraining_tp": 2,
            "quantization_config": {"bits": 4}, "tie_word_embeddings": true, "num_key_value_heads": 3,
        }),
        &[
            "`model_type` is \"qwen3\", which is not implemented; supported is \"llama\"",
            "`architectures` is [\"LlamaForSequenceClassification\"], which is not implemented; supported is \
             [\"LlamaForCausalLM\"]",
            "`hidden_act` is \"gelu\", which is not implemented; supported is \"silu\"",
            "`attention_dropout` is 0.1, which is not implemented; supported is 0.0",
            "`partial_rotary_factor` is 0.5, which is not implemented; supported is 1.0",
            "`pretraining_tp` is 2, which is not implemented; supported is 1",
            "`quantization_config` is {\"bits\":4}, which is not implemented; supported is a checkpoint that is \
             not quantized",
            "`tie_word_embeddings` is true, which is not implemented; supported is false; with tied weights, \
             save the model once with `lm_head.weight` as a weight of its own",
            "`num_attention_heads` is 4, expected a multiple of `num_key_value_heads`, which is 3",
        ],
    );
}

#[test]
fn contradictions_come_with_their_values() {
    refused(
        json!({"num_attention_heads": 6}),
        &[
            "`hidden_size` is 64, expected a multiple of `num_attention_heads`, which is 6; or give `head_dim`",
        ],
    );
    refused(
        json!({"num_key_value_heads": 3}),
        &["`num_attention_heads` is 4, expected a multiple of `num_key_value_heads`, which is 3"],
    );
    refused(
        json!({"head_dim": 15}),
        &["`head_dim` is 15, expected an even number: rotary embeddings turn pairs"],
    );
    refused(
        json!({"hidden_size": 1 << 24, "num_hidden_layers": 10_000, "head_dim": 1 << 20}),
        &["the model would have 2111151253181431808 parameters, the limit is 1125899906842624"],
    );
}

#[test]
fn sizes_and_numbers_have_limits() {
    refused(
        json!({
            "vocab_size": 0, "intermediate_size": 1_u64 << 40, "num_hidden_layers": u64::MAX,
            "num_attention_heads": 0, "num_key_value_heads": 1, "rms_norm_eps": -1.0, "rope_theta": 1e300,
            "initializer_range": -0.02,
        }),
        &[
            "`vocab_size` is 0, expected 1 to 16777216",
            "`intermediate_size` is 1099511627776, expected 1 to 16777216",
            "`num_hidden_layers` is 18446744073709551615, expected 1 to 10000",
            "`num_attention_heads` is 0, expected 1 to 16777216",
            "`rms_norm_eps` is -1.0, expected a finite number, at least 0",
            "`initializer_range` is -0.02, expected a finite number, at least 0",
            "`rope_theta` is 1e300, expected a finite number above 0",
        ],
    );
}

#[test]
fn types_are_checked_before_sizes() {
    refused(
        json!({"hidden_size": "64", "num_hidden_layers": -1, "mlp_bias": 0, "rms_norm_eps": null, "vocab_size": 1.5}),
        &[
            "`hidden_size` is \"64\", expected a whole number",
            "`vocab_size` is 1.5, expected a whole number",
            "`num_hidden_layers` is -1, expected a whole number",
            "`rms_norm_eps` is null, expected a number",
            "`mlp_bias` is 0, expected true or false",
        ],
    );
    let error = LlamaConfig::from_json(&json!([1])).unwrap_err().to_string();
    assert_eq!(
        error,
        "the model's config cannot be used: a config is an object of fields, not [1]"
    );
}

#[test]
fn unknown_fields_are_kept_unless_they_look_like_slips() {
    let config =
        read(json!({"bos_token_id": 1, "use_cache": true, "my_note": "x", "pad_token_id": null}));
    let kept: Vec<&String> = config.extra.keys().collect();
    assert_eq!(kept, ["bos_token_id", "use_cache", "my_note", "pad_token_id"]);
    refused(
        json!({"num_hidden_layer": 2, "attention_dropuot": 0.1}),
        &[
            "there is no `num_hidden_layer`, did you mean `num_hidden_layers`?",
            "there is no `attention_dropuot`, did you mean `attention_dropout`?",
        ],
    );
}

#[test]
fn writing_and_reading_are_inverses() {
    let config = read(
        json!({"rope_theta": 1e6, "attention_bias": true, "eos_token_id": [1, 2], "torch_dtype": "bfloat16"}),
    );
    let again = LlamaConfig::from_json(&config.to_json()).unwrap();
    assert_eq!(again, config);
    assert_eq!(config.to_json()["eos_token_id"], json!([1, 2]));
}
