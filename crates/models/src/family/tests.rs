//! Which configs are read, and which are refused in which words.

use serde_json::{Map, Value, json};

use super::Family;
use crate::Error;
use crate::decoder::DecoderShape;

/// A small config with `changes` made to it.
fn with(model_type: &str, changes: Value) -> Value {
    let mut config = json!({
        "model_type": model_type, "vocab_size": 256, "hidden_size": 64, "intermediate_size": 176,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    });
    if let (Value::Object(config), Value::Object(changes)) = (&mut config, changes) {
        config.extend(changes);
    }
    config
}

fn describe(config: &Value) -> Result<(DecoderShape, Map<String, Value>), Error> {
    Family::of(config)?.describe(config)
}

fn shape(model_type: &str, changes: Value) -> DecoderShape {
    describe(&with(model_type, changes)).unwrap().0
}

fn written(model_type: &str, changes: Value) -> Value {
    Value::Object(describe(&with(model_type, changes)).unwrap().1)
}

#[track_caller]
fn refused(model_type: &str, changes: Value, expected: &[&str]) {
    let Err(Error::Config { problems }) = describe(&with(model_type, changes)) else {
        panic!("the config is not refused")
    };
    let messages: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(messages, expected);
}

#[test]
fn the_shortest_config_has_the_sizes_of_a_model_of_its_family() {
    // As many numbers as the parameters of transformers' classes have.
    let expected = [
        (Family::Gemma, 8_537_680_896),
        (Family::Gemma2, 2_614_341_888),
        (Family::Gemma3Text, 2_628_658_432),
        (Family::Llama, 6_738_415_616),
        (Family::Mistral, 7_241_732_096),
        (Family::Mixtral, 46_702_792_704),
        (Family::Phi3, 3_821_079_552),
        (Family::Qwen2, 12_049_846_272),
        (Family::Qwen3, 12_049_461_248),
        (Family::Qwen3Moe, 15_350_731_776),
    ];
    for (family, num_parameters) in expected {
        let (shape, _) = family.describe(&json!({})).unwrap();
        assert_eq!(shape.num_parameters(), num_parameters, "{family}");
    }
}
#[test]
fn head_sizes_follow_from_the_others() {
    let heads = |changes| {
        let attention = shape("llama", changes).layers[0].attention.clone();
        (attention.num_kv_heads, attention.head_dim)
    };
    assert_eq!(heads(json!({"num_key_value_heads": null, "head_dim": null})), (4, 16));
    assert_eq!(heads(json!({"num_attention_heads": 6, "head_dim": 10})), (2, 10));
}

#[test]
fn other_mathematics_is_refused_all_at_once() {
    refused(
        "llama",
        json!({
            "architectures": ["LlamaForSequenceClassification"], "hidden_act": "relu", "attention_dropout": 0.1,
            "pretraining_tp": 2, "quantization_config": {"bits": 4}, "num_key_value_heads": 3,
            "rope_parameters": {"rope_type": "proportional"},
        }),
        &[
            "`architectures` is [\"LlamaForSequenceClassification\"], which is not implemented; supported is \
             LlamaForCausalLM",
            "`attention_dropout` is 0.1, which is not implemented; supported is 0.0",
            "`quantization_config` is {\"bits\":4}, which is not implemented; supported is a checkpoint that is \
             not quantized",
            "`hidden_act` is \"relu\", which is not implemented; supported is \"silu\", \"gelu\" or \
             \"gelu_pytorch_tanh\", and other names of these",
            "`pretraining_tp` is 2, which is not implemented; supported is 1",
            "`rope_parameters.rope_type` is \"proportional\", which is not implemented; supported is `default`, \
             `dynamic`, `linear`, `llama3`, `longrope` or `yarn`",
            "`num_attention_heads` is 4, expected a multiple of `num_key_value_heads`, which is 3",
        ],
    );
    refused(
        "mixtral",
        json!({"router_jitter_noise": 0.1, "num_experts_per_tok": 9}),
        &[
            "`router_jitter_noise` is 0.1, which is not implemented; supported is 0.0",
            "`num_experts_per_tok` is 9, expected at most 8, the number of experts",
        ],
    );
    refused(
        "phi3",
        json!({"resid_pdrop": 0.1, "embd_pdrop": 0.2}),
        &[
            "`resid_pdrop` is 0.1, which is not implemented; supported is 0.0",
            "`embd_pdrop` is 0.2, which is not implemented; supported is 0.0",
        ],
    );
    refused(
        "gemma2",
        json!({"use_bidirectional_attention": true, "layer_types": ["full_attention"]}),
        &[
            "`use_bidirectional_attention` is true, which is not implemented; supported is false or null",
            "`layer_types` has 1 entries, expected 4",
        ],
    );
}

#[test]
fn contradictions_come_with_their_values() {
    refused(
        "llama",
        json!({"num_attention_heads": 6}),
        &[
            "`hidden_size` is 64, expected a multiple of `num_attention_heads`, which is 6; or give `head_dim`",
        ],
    );
    refused(
        "llama",
        json!({"head_dim": 15}),
        &[
            "15 numbers of each head would be turned, expected an even number above 0: rotary embeddings \
           turn pairs; see `head_dim` and `partial_rotary_factor`",
        ],
    );
    refused(
        "llama",
        json!({"hidden_size": 1 << 24, "num_hidden_layers": 10_000, "head_dim": 1 << 20}),
        &["the model would have 2111151253181431808 parameters, the limit is 1125899906842624"],
    );
    refused(
        "llama",
        json!({"pad_token_id": 256}),
        &[
            "`pad_token_id` is 256, which is not implemented; supported is null, or an id within the vocabulary",
        ],
    );
}

#[test]
fn what_is_said_twice_is_said_alike() {
    refused(
        "gemma",
        json!({"hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"}),
        &[
            "`hidden_act` is \"gelu\", but `hidden_activation` is \"gelu_pytorch_tanh\"; keep one of them",
        ],
    );
    refused(
        "qwen3_moe",
        json!({"num_experts": 8, "num_local_experts": 16, "head_dim": 16}),
        &["`num_experts` is 8, but `num_local_experts` is 16; keep one of them"],
    );
    let act = |changes| format!("{:?}", shape("gemma", changes).layers[0].feed_forward);
    let tanh = act(json!({"hidden_activation": "gelu_pytorch_tanh"}));
    assert_eq!(act(json!({})), tanh);
    assert_ne!(act(json!({"hidden_act": "gelu", "hidden_activation": null})), tanh);
}

#[test]
fn sizes_and_numbers_have_limits() {
    refused(
        "llama",
        json!({
            "vocab_size": 0, "intermediate_size": 1_u64 << 40, "num_hidden_layers": u64::MAX,
            "num_attention_heads": 0, "num_key_value_heads": 1, "rms_norm_eps": -1.0, "rope_theta": 1e300,
            "initializer_range": -0.02,
        }),
        &[
            "`num_attention_heads` is 0, expected 1 to 16777216",
            "`vocab_size` is 0, expected 1 to 16777216",
            "`intermediate_size` is 1099511627776, expected 1 to 16777216",
            "`num_hidden_layers` is 18446744073709551615, expected 1 to 10000",
            "`rms_norm_eps` is -1.0, expected a finite number, at least 0",
            "`initializer_range` is -0.02, expected a finite number, at least 0",
            "`rope_theta` is 1e300, expected a finite number above 0",
        ],
    );
}

#[test]
fn types_are_checked() {
    refused(
        "llama",
        json!({"hidden_size": "64", "num_hidden_layers": -1, "mlp_bias": 0, "rms_norm_eps": null, "vocab_size": 1.5}),
        &[
            "`hidden_size` is \"64\", expected a whole number",
            "`vocab_size` is 1.5, expected a whole number",
            "`num_hidden_layers` is -1, expected a whole number",
            "`rms_norm_eps` is null, expected a number",
            "`mlp_bias` is 0, expected true or false",
        ],
    );
    let error = Family::Llama.describe(&json!([1])).unwrap_err().to_string();
    assert_eq!(
        error,
        "the model's config cannot be used: a config is an object of fields, not [1]"
    );
}

#[test]
fn unknown_fields_are_kept_unless_they_look_like_slips() {
    let config = written("llama", json!({"bos_token_id": 1, "use_cache": true, "my_note": "x"}));
    assert_eq!(config["bos_token_id"], 1);
    assert_eq!(config["my_note"], "x");
    refused(
        "llama",
        json!({"num_hidden_layer": 2, "attention_dropuot": 0.1}),
        &[
            "there is no `num_hidden_layer`, did you mean `num_hidden_layers`?",
            "there is no `attention_dropuot`, did you mean `attention_dropout`?",
        ],
    );
}

#[test]
fn writing_and_reading_are_inverses() {
    for family in Family::ALL {
        let name = family.name();
        let changes = json!({"eos_token_id": [1, 2], "torch_dtype": "bfloat16", "rope_theta": 1e5});
        let config = written(name, changes);
        let (again, config_again) = describe(&config).unwrap();
        assert_eq!(Value::Object(config_again), config, "{name}");
        assert_eq!(config["eos_token_id"], json!([1, 2]));
        let numbers = again.layers.iter().map(|layer| format!("{layer:?}")).collect::<Vec<_>>();
        let first = describe(&with(name, json!({"rope_theta": 1e5}))).unwrap().0;
        let expected = first.layers.iter().map(|layer| format!("{layer:?}")).collect::<Vec<_>>();
        assert_eq!(numbers, expected, "{name}");
        assert_eq!(again.ropes, first.ropes, "{name}");
    }
}

#[test]
fn windows_are_where_the_family_has_them() {
    let windows = |model_type: &str, changes| -> Vec<usize> {
        let layers = shape(model_type, changes).layers;
        layers.iter().map(|layer| layer.attention.window.map_or(0, |window| window.get())).collect()
    };
    assert_eq!(windows("llama", json!({"sliding_window": 6})), [0; 4]);
    assert_eq!(windows("mistral", json!({})), [4096; 4]);
    assert_eq!(windows("mistral", json!({"sliding_window": null})), [0; 4]);
    assert_eq!(windows("qwen2", json!({"sliding_window": 6, "max_window_layers": 2})), [0; 4]);
    let asked = json!({"sliding_window": 6, "max_window_layers": 3, "use_sliding_window": true});
    assert_eq!(windows("qwen2", asked.clone()), [0, 0, 0, 6]);
    assert_eq!(windows("qwen3_moe", asked), [6; 4]);
    assert_eq!(windows("gemma2", json!({})), [4096, 0, 4096, 0]);
    assert_eq!(windows("gemma3_text", json!({"sliding_window_pattern": 3})), [4096, 4096, 0, 4096]);
    let types = json!(["full_attention", "sliding_attention", "full_attention", "full_attention"]);
    assert_eq!(windows("gemma3_text", json!({"layer_types": types})), [0, 4096, 0, 0]);
}

#[test]
fn padding_counts_from_the_end_if_it_is_negative() {
    assert_eq!(shape("llama", json!({"pad_token_id": -1})).padding_id, Some(255));
    assert_eq!(shape("llama", json!({})).padding_id, None);
    assert_eq!(shape("gemma", json!({})).padding_id, Some(0));
    assert_eq!(shape("phi3", json!({})).padding_id, None, "the default is no id of a small model");
}
