//! The decoder as a graph, and which lists of modules make a stage.

use autopipe_splitter::{ModuleGraph, Role};

use serde_json::{Value, json};

use super::Decoder;
use super::select::select;
use crate::{Family, Options};

/// A decoder with the sizes of the reference model, and `changes`.
fn decoder(changes: Value) -> Decoder {
    let mut config = json!({
        "model_type": "llama", "vocab_size": 256, "hidden_size": 64, "intermediate_size": 176,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    });
    if let (Value::Object(config), Value::Object(changes)) = (&mut config, changes) {
        config.extend(changes);
    }
    let (shape, _) = Family::of(&config).unwrap().describe(&config).unwrap();
    Decoder::new(shape, Options::default()).unwrap()
}

fn names(graph: &ModuleGraph) -> Vec<&str> {
    graph.modules().map(|module| module.name.as_str()).collect()
}

#[test]
fn modules_come_in_the_order_of_registration() {
    let graph = decoder(json!({})).graph();
    assert_eq!(
        names(&graph),
        [
            "model.embed_tokens",
            "model.layers.0",
            "model.layers.1",
            "model.layers.2",
            "model.layers.3",
            "model.norm",
            "model.rotary_emb",
            "lm_head",
        ]
    );
    assert_eq!(
        graph.module("model.layers.2").unwrap().submodules,
        [
            "self_attn",
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.o_proj",
            "mlp",
            "mlp.gate_proj",
            "mlp.up_proj",
            "mlp.down_proj",
            "mlp.act_fn",
            "input_layernorm",
            "post_attention_layernorm",
        ]
    );
    assert_eq!(graph.module("model.rotary_emb").unwrap().role, Role::EveryStage);
    assert_eq!(graph.num_layers(), 4);
}

#[test]
fn data_flows_past_the_rotary_tables() {
    let graph = decoder(json!({})).graph();
    let last = graph.edges().last().unwrap();
    assert_eq!((last.0.name.as_str(), last.1.name.as_str()), ("model.norm", "lm_head"));
    assert_eq!(graph.edges().count(), 6);
}

#[test]
fn parameters_and_operations_are_counted() {
    let decoder = decoder(json!({}));
    let graph = decoder.graph();
    // What `sum(p.numel() for p in model.parameters())` gives in torch.
    assert_eq!(graph.num_parameters(), 217_664);
    assert_eq!(decoder.shape.num_parameters(), 217_664);
    let flops = |name| graph.module(name).unwrap().flops.per_token;
    let (attention, mlp) = (64 * (64 + 32 + 32 + 64), 3 * 64 * 176);
    assert_eq!(flops("model.layers.0"), 2 * (attention + mlp));
    assert_eq!((flops("model.embed_tokens"), flops("lm_head")), (0, 2 * 64 * 256));
    // A score and a weighted sum over 64 numbers for every pair of tokens.
    assert_eq!(graph.module("model.layers.0").unwrap().flops.per_pair, 4 * 64);
}

#[test]
fn biases_are_parameters_of_every_projection() {
    let graph = decoder(json!({"attention_bias": true, "mlp_bias": true})).graph();
    let parameters = &graph.module("model.layers.0").unwrap().parameters;
    let biases: Vec<_> =
        parameters.iter().filter(|p| p.name.ends_with("bias")).map(|p| p.shape[0]).collect();
    assert_eq!(biases, [64, 32, 32, 64, 176, 176, 64]);
    assert_eq!(parameters[1].name, "model.layers.0.self_attn.q_proj.bias");
}

#[test]
fn the_largest_config_can_be_counted() {
    // A config that passes its checks never overflows here.
    let decoder = decoder(json!({
        "num_hidden_layers": 10_000, "hidden_size": 1 << 17, "intermediate_size": 1 << 17,
        "head_dim": 2, "num_attention_heads": 1, "num_key_value_heads": 1, "vocab_size": 32_000,
    }));
    assert_eq!(decoder.graph().num_parameters(), 515_417_571_459_072);
}

#[test]
fn a_tied_head_shares_the_embedding_and_counts_once() {
    let decoder = decoder(json!({"tie_word_embeddings": true}));
    let graph = decoder.graph();
    assert_eq!(graph.num_parameters(), 217_664 - 256 * 64);
    assert_eq!(decoder.shape.num_parameters(), 217_664 - 256 * 64);
    let head = &graph.module("lm_head").unwrap().parameters[0];
    assert_eq!(head.shared_with.as_deref(), Some("model.embed_tokens.weight"));
}

#[test]
fn tokens_are_sent_to_some_experts_only() {
    let decoder = decoder(json!({
        "model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2,
    }));
    let graph = decoder.graph();
    let layer = graph.module("model.layers.0").unwrap();
    let (attention, router, expert) = (64 * (64 + 32 + 32 + 64), 64 * 8, 3 * 64 * 176);
    assert_eq!(layer.num_parameters(), attention + router + 8 * expert + 2 * 64);
    assert_eq!(layer.flops.per_token, 2 * (attention + router + 2 * expert) as u64);
    assert!(layer.submodules.contains(&"block_sparse_moe.experts.7.w3".to_owned()));
}

#[track_caller]
fn refused(list: &[&str], expected: &[&str]) {
    let list: Vec<String> = list.iter().map(|&name| name.to_owned()).collect();
    let problems = select(&list, 4).unwrap_err();
    let messages: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(messages, expected);
}

#[test]
fn a_stage_is_one_piece_of_the_decoder() {
    refused(&[], &["a stage needs the embedding, a layer, the norm or the head, and has none"]);
    refused(
        &["model.rotary_emb"],
        &["a stage needs the embedding, a layer, the norm or the head, and has none"],
    );
    refused(
        &["model.layers.0", "model.layers.3"],
        &[
            "the data flows from `model.layers.0` to `model.layers.3` through `model.layers.1`, which is not listed",
        ],
    );
    refused(
        &["model.layers.2", "model.layers.1", "model.layers.1", "model.layer.3", "transformer"],
        &[
            "`model.layers.1` is listed twice",
            "there is no module `model.layer.3` (did you mean `model.layers.3`?)",
            "there is no module `transformer`",
            "`model.layers.1` is listed after `model.layers.2`, which comes after it in the model",
        ],
    );
}

#[test]
fn the_rotary_tables_may_be_listed_anywhere_or_not_at_all() {
    for list in [
        &["model.rotary_emb", "model.norm", "lm_head"][..],
        &["model.norm", "model.rotary_emb", "lm_head"],
    ] {
        let list: Vec<String> = list.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(select(&list, 4).unwrap().len(), 3);
    }
    assert_eq!(select(&["lm_head".to_owned()], 4).unwrap().len(), 1);
}
