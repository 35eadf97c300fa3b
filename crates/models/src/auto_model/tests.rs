//! Which family a config is of, and what every family tells.

use serde_json::json;

use super::{from_config, load_folder};
use crate::Family;

fn message(config: &serde_json::Value) -> String {
    from_config(config, 0).unwrap_err().to_string()
}

#[test]
fn a_family_is_chosen_by_name() {
    for family in Family::ALL {
        assert_eq!(family.to_string().parse::<Family>().unwrap(), family);
    }
    assert_eq!(
        message(&json!({"model_type": "lama"})),
        "there is no model family `lama` (did you mean `llama`?); supported are gemma, gemma2, gemma3_text, llama, mistral, mixtral, phi3, qwen2, qwen3, qwen3_moe"
    );
    assert_eq!(
        message(&json!({"model_type": "gpt2"})),
        "there is no model family `gpt2`; supported are gemma, gemma2, gemma3_text, llama, mistral, mixtral, phi3, qwen2, qwen3, qwen3_moe"
    );
    assert_eq!(
        message(&json!({"model_type": 7})),
        "there is no model family `7`; supported are gemma, gemma2, gemma3_text, llama, mistral, mixtral, phi3, qwen2, qwen3, qwen3_moe"
    );
    for config in [json!({}), json!({"model_type": null}), json!(null), json!("llama")] {
        assert_eq!(
            message(&config),
            "the config has no `model_type`; supported are gemma, gemma2, gemma3_text, llama, mistral, mixtral, phi3, qwen2, qwen3, qwen3_moe"
        );
    }
}

#[test]
fn a_model_tells_its_sizes() {
    let config = json!({
        "model_type": "llama", "vocab_size": 99, "max_position_embeddings": 77, "hidden_size": 8,
        "num_attention_heads": 2,
    });
    let model = from_config(&config, 0).unwrap();
    assert_eq!(
        (model.family(), model.vocab_size(), model.max_position_embeddings()),
        (Family::Llama, 99, 77)
    );
    assert_eq!(model.config_json()["hidden_size"], 8);
    assert!(model.generation_config().is_none());
    assert_eq!(model.as_model().graph().num_layers(), 32);
}

#[test]
fn a_folder_needs_config_and_weights() {
    let dir = tempfile::tempdir().unwrap();
    let message = || load_folder(dir.path()).unwrap_err().to_string();
    assert!(
        message().starts_with("cannot read ") && message().contains("config.json: No such file"),
        "{}",
        message()
    );
    let write = |text: &str| std::fs::write(dir.path().join("config.json"), text).unwrap();
    write("{");
    assert!(message().contains("config.json is not valid JSON: EOF"), "{}", message());
    write(r#"{"model_type": "llama"}"#);
    assert!(
        message().ends_with("has neither `model.safetensors` nor `model.safetensors.index.json`")
    );
}
