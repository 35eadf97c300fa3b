//! Which adapters are refused, and why.

use serde_json::{Value, json};

use super::Lora;
use crate::{Options, from_config_with};

fn refused(lora: Lora) -> String {
    let config = json!({"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 8,
        "vocab_size": 16, "intermediate_size": 8, "num_attention_heads": 2});
    let options = Options { lora: Some(lora), ..Options::default() };
    from_config_with(&config, 0, options).unwrap_err().to_string()
}

#[test]
fn numbers_and_targets_are_checked() {
    assert_eq!(refused(Lora::new(0, ["q_proj"])), "the adapter's rank is 0, expected at least 1");
    let dropout = Lora { dropout: 1.0, ..Lora::new(2, ["q_proj"]) };
    assert_eq!(refused(dropout), "the adapter's dropout is 1, expected at least 0 and below 1");
    assert_eq!(
        refused(Lora::new(2, ["q_porj"])),
        "no matrix of the model is named `q_porj` or ends so (did you mean `q_proj`?)"
    );
    assert_eq!(
        refused(Lora::new(2, Vec::<String>::new())),
        "adapters need at least one target; `all-linear` is all matrices but the head"
    );
    let whole = Lora { modules_to_save: vec!["lm_heat".to_owned()], ..Lora::new(2, ["q_proj"]) };
    assert_eq!(
        refused(whole),
        "no module with parameters is named `lm_heat` or ends so (did you mean `lm_head`?)"
    );
    assert_eq!(
        refused(Lora::new(2, ["q_proj", "[x"])),
        "`[x` is no pattern: invalid range pattern at character 0"
    );
}

#[test]
fn what_is_not_implemented_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let message = |config: Value| {
        std::fs::write(dir.path().join("adapter_config.json"), config.to_string()).unwrap();
        Lora::load(dir.path()).unwrap_err().to_string()
    };
    let text =
        message(json!({"peft_type": "IA3", "use_dora": true, "rank_pattern": {"q_proj": 3}}));
    for part in ["`peft_type` is \"IA3\"", "`use_dora` is true", "`rank_pattern` is {\"q_proj\":3}"]
    {
        assert!(text.contains(part), "{text}");
    }
    let text = message(json!({"peft_type": "LORA", "r": 2}));
    assert!(text.contains("adapter_model.safetensors cannot be read"), "{text}");
}
