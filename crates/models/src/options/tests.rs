//! What patterns are for, and what stays as it is.

use serde_json::json;

use super::{Options, Pattern, Recompute, matches_end};
use crate::{AutoModel, Error, Lora, from_config_with};

fn model(options: Options) -> Result<AutoModel, Error> {
    let config = json!({"model_type": "llama", "num_hidden_layers": 3, "hidden_size": 8,
        "vocab_size": 16, "intermediate_size": 8, "num_attention_heads": 2});
    from_config_with(&config, 0, options)
}

/// The names of the parameters that are trained.
fn trained(options: Options) -> Vec<String> {
    let graph = model(options).unwrap().as_model().graph();
    let parameters = graph.modules().flat_map(|module| &module.parameters);
    parameters.filter(|p| p.trainable).map(|p| p.name.clone()).collect()
}

#[test]
fn patterns_begin_at_the_start_or_end_at_the_end() {
    let start = |pattern, name| Pattern::new(pattern).unwrap().covers(name);
    assert!(start("model.layers.1", "model.layers.1.mlp.up_proj.weight"));
    assert!(!start("model.layers.1", "model.layers.11.mlp.up_proj.weight"));
    assert!(start("*norm*", "model.layers.1.input_layernorm.weight"));
    assert!(start("model.layers.[0-3]", "model.layers.3.mlp.up_proj.weight"));
    let end = |pattern, path| matches_end(&Pattern::new(pattern).unwrap(), path);
    assert!(end("up_proj", "model.layers.1.mlp.up_proj"));
    assert!(!end("p_proj", "model.layers.1.mlp.up_proj"));
    assert!(end("layers.?.mlp.*", "model.layers.1.mlp.up_proj"));
}

#[test]
fn what_is_frozen_is_not_trained() {
    let freeze = ["model.embed_tokens", "model.layers.[01]", "*.norm.weight"].map(str::to_owned);
    let trained = trained(Options { freeze: freeze.into(), ..Options::default() });
    assert_eq!(trained.len(), 10);
    assert!(
        trained.iter().all(|name| name.starts_with("model.layers.2.") || name == "lm_head.weight")
    );
    let nothing = Options { freeze: vec!["model.layer.0".to_owned()], ..Options::default() };
    assert_eq!(
        model(nothing).unwrap_err().to_string(),
        "no parameter is named `model.layer.0` or lies in a module of that name (did you mean `model.layers.0`?)"
    );
}

#[test]
fn with_adapters_only_they_are_trained() {
    let lora = Lora { modules_to_save: vec!["lm_head".to_owned()], ..Lora::new(2, ["q_proj"]) };
    let trained = trained(Options {
        lora: Some(lora),
        freeze: vec!["model.layers.0".to_owned()],
        ..Options::default()
    });
    assert_eq!(
        trained,
        [
            "model.layers.1.self_attn.q_proj.lora_A.weight",
            "model.layers.1.self_attn.q_proj.lora_B.weight",
            "model.layers.2.self_attn.q_proj.lora_A.weight",
            "model.layers.2.self_attn.q_proj.lora_B.weight",
            "lm_head.weight",
        ]
    );
}

#[test]
fn layers_are_recomputed_by_their_number_in_the_model() {
    let which =
        |recompute: Recompute| (0..5).filter(|&layer| recompute.has(layer)).collect::<Vec<_>>();
    assert_eq!(which(Recompute::None), [] as [usize; 0]);
    assert_eq!(which(Recompute::All), [0, 1, 2, 3, 4]);
    assert_eq!(which(Recompute::Every(2)), [0, 2, 4]);
    let kept = |recompute| {
        let graph = model(Options { recompute, ..Options::default() }).unwrap().as_model().graph();
        graph.module("model.layers.1").unwrap().activation_bytes.whole.per_token
    };
    assert_eq!(kept(Recompute::All), 8 * 4);
    assert_eq!(kept(Recompute::Every(2)), kept(Recompute::None));
}

#[test]
fn weights_are_trained_in_three_dtypes() {
    let options = Options { dtype: candle_core::DType::F64, ..Options::default() };
    assert_eq!(
        model(options).unwrap_err().to_string(),
        "weights of f64 cannot be trained; choose f32, bf16 or f16"
    );
}

#[test]
fn a_tied_weight_is_frozen_by_either_name() {
    let config = json!({"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 8,
        "vocab_size": 16, "intermediate_size": 8, "num_attention_heads": 2,
        "tie_word_embeddings": true});
    for name in ["lm_head", "model.embed_tokens"] {
        let options = Options { freeze: vec![name.to_owned()], ..Options::default() };
        let graph = from_config_with(&config, 0, options).unwrap().as_model().graph();
        for module in ["model.embed_tokens", "lm_head"] {
            assert!(!graph.module(module).unwrap().parameters[0].trainable, "{name}: {module}");
        }
    }
}
