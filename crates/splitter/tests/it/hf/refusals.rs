//! What is wrong with a config is said, all of it at once.

use autopipe_splitter::{HfError, HfNesting, HfProblem, hf_model};
use serde_json::{Value, json};

use super::files;

fn refused(config: &Value) -> HfError {
    hf_model(config, HfNesting::Modules).unwrap_err()
}

fn problems(config: &Value) -> String {
    let problems = match refused(config) {
        HfError::Config { problems, .. } => problems,
        other => unreachable!("{other}"),
    };
    problems.iter().map(HfProblem::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_model_of_a_known_kind() {
    assert_eq!(
        refused(&json!([1, 2])).to_string(),
        "a config.json is an object of fields, not [1,2]"
    );
    let none = refused(&json!({"model_type": null})).to_string();
    let start = "the config has no `model_type`, which says what kind of model it is; known are \
                 deepseek_v2, deepseek_v3, gemma, ";
    assert!(none.starts_with(start), "{none}");
    let slip = refused(&json!({"model_type": "qwen3_mo"})).to_string();
    let start = "`model_type` is \"qwen3_mo\", whose layout is not known; did you mean \
                 `qwen3_moe`?; known are deepseek_v2, ";
    assert!(slip.starts_with(start), "{slip}");
    let number = refused(&json!({"model_type": 7})).to_string();
    assert!(number.starts_with("`model_type` is 7, whose layout"), "{number}");
    let inner = refused(&json!({
        "model_type": "llava", "text_config": {"model_type": "lama"}, "vision_config": {}
    }));
    let inner = inner.to_string();
    let start = "`text_config.model_type` is \"lama\", whose layout is not known; did you mean \
                 `llama`?; known are ";
    assert!(inner.starts_with(start), "{inner}");
    assert_eq!(
        refused(&json!({"model_type": "llama", "is_encoder_decoder": true})).to_string(),
        "the config describes an encoder and a decoder (`is_encoder_decoder`), the stages of a \
         pipeline are cut from a decoder alone"
    );
}

#[test]
fn everything_that_is_wrong_comes_at_once() {
    let config = json!({
        "model_type": "llama", "vocab_size": 0, "hidden_size": "wide", "intermediate_size": -3,
        "num_hidden_layers": 20_000, "num_attention_heads": 12, "num_key_value_heads": 5,
        "head_dim": 1.5, "attention_bias": "no", "dtype": "int4", "tie_word_embedding": true,
        "architectures": ["LlamaForSequenceClassification"]
    });
    assert_eq!(
        refused(&config).to_string(),
        "the config of a llama describes no model:
  - `vocab_size` is 0, expected 1 to 16777216
  - `hidden_size` is \"wide\", expected a whole number
  - `intermediate_size` is -3, expected 1 to 16777216
  - `num_hidden_layers` is 20000, expected 1 to 10000
  - `num_attention_heads` is 12, expected a multiple of `num_key_value_heads`, which is 5
  - `head_dim` is 1.5, expected a whole number
  - `attention_bias` is \"no\", expected true or false
  - `architectures` is [\"LlamaForSequenceClassification\"], expected a list of classes that end in \
         `ForCausalLM`, `ForConditionalGeneration` or, without a head, `Model`
  - `dtype` is \"int4\", expected bfloat16, float16, float32 or float64
  - there is no field `tie_word_embedding`, did you mean `tie_word_embeddings`?"
    );
}

#[test]
fn sizes_that_contradict_each_other() {
    assert_eq!(
        problems(&json!({"model_type": "llama", "num_attention_heads": 24})),
        "`hidden_size` is 4096, expected a multiple of `num_attention_heads`, which is 24; or give \
         `head_dim`"
    );
    assert_eq!(
        problems(&json!({"model_type": "mixtral", "num_experts_per_tok": 9})),
        "`num_experts_per_tok` is 9, more than the 8 of `num_local_experts`"
    );
    assert_eq!(
        problems(
            &json!({"model_type": "deepseek_v3", "moe_layer_freq": 0, "n_shared_experts": -1})
        ),
        "`n_shared_experts` is -1, expected 0 to 16777216\n\
         `moe_layer_freq` is 0, expected 1 to 16777216"
    );
    assert_eq!(
        problems(&json!({
            "model_type": "gemma2", "num_hidden_layers": 2, "layer_types": ["full_attention"]
        })),
        "`layer_types` has 1 entries, the model has 2 layers"
    );
    assert_eq!(
        problems(&json!({
            "model_type": "gemma2", "num_hidden_layers": 1, "layer_types": ["linear_attention"]
        })),
        "`layer_types` is [\"linear_attention\"], expected a list of \"full_attention\" and \
         \"sliding_attention\", one per layer"
    );
    assert_eq!(
        problems(&json!({"model_type": "qwen3_moe", "num_experts": 8, "num_local_experts": 9})),
        "`num_experts` is 8, but `num_local_experts` is 9; keep one of them"
    );
}

#[test]
fn dtypes_that_contradict_each_other() {
    assert_eq!(
        problems(&json!({"model_type": "llama", "dtype": "bfloat16", "torch_dtype": "float32"})),
        "`dtype` is bfloat16, but `torch_dtype` is float32; keep one of them"
    );
}

#[test]
fn more_than_a_graph_can_hold() {
    let wide = json!({
        "model_type": "llama", "hidden_size": 16_777_216, "intermediate_size": 16_777_216,
        "num_hidden_layers": 10_000
    });
    let text = problems(&wide);
    assert!(text.ends_with(" parameters, the limit is 1125899906842624"), "{text}");
    let many = json!({
        "model_type": "qwen3_moe", "hidden_size": 64, "moe_intermediate_size": 1,
        "num_experts": 100_000, "head_dim": 2
    });
    assert_eq!(
        problems(&many),
        "the model would have 19200481 named parameters and parts, the limit is 1048576"
    );
}

/// Whatever is multiplied with what: nothing overflows at the limits of each size.
#[test]
fn sizes_at_their_limits() {
    fn set(value: &mut Value, size: u64) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(|value| set(value, size)),
            Value::Number(_) => *value = json!(size),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => {}
        }
    }
    let mut num_refused = 0;
    for (name, file) in files() {
        for size in [1, 448, 1 << 10, 1 << 24, u64::MAX] {
            let mut config = file["config"].clone();
            set(&mut config, size);
            // Layers are few, so that what is too much is the sizes of each.
            let text = if config.get("text_config").is_some() {
                &mut config["text_config"]
            } else {
                &mut config
            };
            text["num_hidden_layers"] = json!(4);
            if let Err(error) = hf_model(&config, HfNesting::Modules) {
                assert!(error.to_string().len() < 5000, "{name}: {error}");
                num_refused += 1;
            }
        }
    }
    assert!(num_refused > 50, "{num_refused}");
}

#[test]
fn what_belongs_inside() {
    assert_eq!(
        problems(&json!({"model_type": "llava"})),
        "there is no `text_config`, expected an object of the decoder's fields\n\
         there is no `vision_config`, expected an object of the encoder's fields"
    );
    let config = json!({
        "model_type": "gemma3", "text_config": {"hidden_size": 0, "tie_word_embeddings": 1},
        "vision_config": {"model_type": "eye", "image_size": 4, "num_attention_heads": 7}
    });
    assert_eq!(
        problems(&config),
        "`vision_config.model_type` is \"eye\", expected one of \"clip_vision_model\", \"pixtral\", \
         \"siglip_vision_model\"\n\
         `vision_config.hidden_size` is 768, expected a multiple of \
         `vision_config.num_attention_heads`, which is 7\n\
         `vision_config.image_size` is 4, expected 32 to 16777216\n\
         `text_config.hidden_size` is 0, expected 1 to 16777216\n\
         `text_config.tie_word_embeddings` is 1, expected true or false"
    );
}

#[test]
fn a_long_value_is_shortened() {
    let long = json!({"model_type": "llama", "hidden_size": vec![7; 100_000]});
    assert!(problems(&long).len() < 200, "{}", problems(&long));
    let long = json!({"model_type": "l".repeat(100_000)});
    assert!(refused(&long).to_string().len() < 1000);
}
