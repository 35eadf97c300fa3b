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

/// A small mixture of experts with adapters.
fn sparse(lora: Lora) -> Result<crate::AutoModel, crate::Error> {
    let config = json!({"model_type": "mixtral", "num_hidden_layers": 2, "hidden_size": 8,
        "vocab_size": 16, "intermediate_size": 8, "num_attention_heads": 2, "num_key_value_heads": 2,
        "num_local_experts": 4});
    from_config_with(&config, 0, Options { lora: Some(lora), ..Options::default() })
}

#[test]
fn all_matrices_are_those_that_peft_finds() {
    let model = sparse(Lora { dropout: 0.1, ..Lora::new(2, ["all-linear"]) }).unwrap();
    assert_eq!(model.decoder().adapted().len(), 2 * 4, "the attention's");
    let experts = Lora { dropout: 0.1, ..Lora::new(2, ["w1"]) };
    assert_eq!(
        sparse(experts.clone()).unwrap_err().to_string(),
        "`model.layers.0.block_sparse_moe.experts.0.w1` is an expert's, whose adapters have no \
         dropout; set the dropout to 0, or leave experts out of the targets"
    );
    let model = sparse(Lora { dropout: 0.0, ..experts }).unwrap();
    assert_eq!(model.decoder().adapted().len(), 2 * 4);
}

#[test]
fn adapters_that_change_the_base_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = json!({"peft_type": "LORA", "init_lora_weights": "pissa_niter_4"});
    std::fs::write(dir.path().join("adapter_config.json"), config.to_string()).unwrap();
    let text = Lora::load(dir.path()).unwrap_err().to_string();
    assert!(text.contains("`init_lora_weights` is \"pissa_niter_4\""), "{text}");
}
