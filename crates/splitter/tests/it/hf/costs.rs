//! Operations and bytes are what counting by hand gives.

use std::num::NonZeroUsize;

use autopipe_splitter::{Cost, HfModel, HfNesting, Kept, Module, hf_model};
use serde_json::{Value, json};

use super::{files, published};

fn model(config: &Value) -> HfModel {
    hf_model(config, HfNesting::Modules).unwrap()
}

fn layers(model: &HfModel) -> impl Iterator<Item = &Module> {
    model.graph.modules().filter(|module| module.name.contains("layers."))
}

/// Two for each element of each matrix; of the experts' matrices, the share of those active.
#[test]
fn a_token_is_multiplied_with_the_matrices_of_its_experts() {
    for (name, file) in files() {
        let config = &file["config"];
        let model = model(config);
        let text = config.get("text_config").unwrap_or(config);
        let number = |key: &str| text.get(key).and_then(Value::as_u64);
        let keys = ["num_experts", "num_local_experts", "n_routed_experts"];
        let num_experts = keys.into_iter().find_map(number);
        for layer in layers(&model) {
            let elements = |is_expert: bool| -> u64 {
                let matrices = layer.parameters.iter().filter(|parameter| {
                    parameter.shape.len() >= 2 && !parameter.name.ends_with("_proj_bias")
                });
                matrices
                    .filter(|parameter| parameter.name.contains(".experts.") == is_expert)
                    .map(|parameter| parameter.num_elements().unwrap() as u64)
                    .sum()
            };
            let active = match elements(true) {
                0 => 0,
                all => all / num_experts.unwrap() * number("num_experts_per_tok").unwrap(),
            };
            assert_eq!(
                layer.flops.per_token,
                2 * (elements(false) + active),
                "{name}: {}",
                layer.name
            );
        }
    }
}

/// As published: of DeepSeek-V3 37 billion parameters are active, and so on; the embedding is in
/// those numbers and takes no operations.
#[test]
fn active_parameters() {
    for (name, billions) in [("DeepSeek-V3", 37.0), ("Qwen3-30B-A3B", 3.3), ("gpt-oss-20b", 3.6)] {
        let published = published().into_iter().find(|(known, _)| known == name).unwrap().1;
        let model = model(&published["config"]);
        let flops: u64 = model.graph.modules().map(|module| module.flops.per_token).sum();
        let active = flops as f64 / 2e9;
        assert!((0.90..1.02).contains(&(active / billions)), "{name}: {active}");
    }
}

#[test]
fn a_layer_keeps_what_the_formula_says() {
    let config = json!({
        "model_type": "llama", "hidden_size": 64, "intermediate_size": 100, "num_hidden_layers": 1,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1000, "dtype": "bfloat16"
    });
    let kept =
        |config: &Value, name: &str| model(config).graph.module(name).unwrap().activation_bytes;
    // Whole on each of several ranks, shared out among them, and copied by each.
    let bytes = |numbers: [u64; 3]| {
        let [whole, cut, added] = numbers.map(|number| Cost::per_token(2 * number));
        Kept { whole, cut, added }
    };
    let heads = 4 * 64 + 3 * 32;
    assert_eq!(kept(&config, "model.layers.0"), bytes([6 * 64, heads + 3 * 100, 4 * 64]));
    assert_eq!(kept(&config, "model.embed_tokens"), bytes([64, 0, 2 * 64]));
    assert_eq!(kept(&config, "model.norm"), bytes([64, 0, 0]));
    assert_eq!(kept(&config, "model.rotary_emb"), Kept::default());
    assert_eq!(kept(&config, "lm_head"), bytes([0, 1000, 64]));

    let mut biased = config.clone();
    biased["attention_bias"] = json!(true);
    biased["mlp_bias"] = json!(true);
    let cut = heads + 3 * 100 + (64 + 2 * 32) + 2 * 100;
    assert_eq!(kept(&biased, "model.layers.0"), bytes([6 * 64 + 2 * 64, cut, 4 * 64]));

    let mut normed = config.clone();
    normed["model_type"] = json!("qwen3");
    normed["head_dim"] = json!(16);
    let cut = heads + 3 * 100 + 2 * (64 + 32);
    assert_eq!(kept(&normed, "model.layers.0"), bytes([6 * 64, cut, 4 * 64]));

    let mut experts = config;
    experts["model_type"] = json!("mixtral");
    experts["num_local_experts"] = json!(5);
    experts["num_experts_per_tok"] = json!(3);
    let (whole, cut) = (6 * 64 + 5 + 3 * 3 * 64, heads + 3 * 3 * 100);
    assert_eq!(kept(&experts, "model.layers.0"), bytes([whole, cut, 4 * 64]));
}

#[test]
fn pairs_of_tokens() {
    let per_pair = |name: &str| {
        let file = files().into_iter().find(|(file, _)| file == name).unwrap().1;
        let model = model(&file["config"]);
        let flops = layers(&model).map(|layer| layer.flops.per_pair).collect::<Vec<_>>();
        assert!(flops.iter().all(|pair| *pair == flops[0]));
        flops[0]
    };
    assert_eq!(per_pair("llama"), 4 * 4 * 8);
    assert_eq!(per_pair("qwen3"), 4 * 4 * 12);
    // Heads of 8 + 4 numbers in queries and keys, and 10 in values.
    assert_eq!(per_pair("deepseek_v3"), 2 * 4 * (12 + 10));
}

#[test]
fn windows_hold_in_their_layers() {
    let windows = |config: Value| {
        let model = model(&config);
        let size = |layer: &Module| layer.flops.window.map_or(0, NonZeroUsize::get);
        layers(&model).map(size).collect::<Vec<_>>()
    };
    let config = |model_type: &str| json!({"model_type": model_type, "num_hidden_layers": 6});
    let with = |model_type: &str, fields: Value| {
        let mut config = config(model_type);
        config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        config
    };
    assert_eq!(windows(config("llama")), [0; 6]);
    assert_eq!(windows(config("mistral")), [4096; 6]);
    assert_eq!(windows(with("mistral", json!({"sliding_window": null}))), [0; 6]);
    assert_eq!(windows(config("mixtral")), [0; 6]);
    assert_eq!(windows(config("gemma2")), [4096, 0, 4096, 0, 4096, 0]);
    assert_eq!(windows(config("gpt_oss")), [128, 0, 128, 0, 128, 0]);
    assert_eq!(windows(config("olmo3")), [4096, 4096, 4096, 0, 4096, 4096]);
    let every_third = json!({"sliding_window": 7, "sliding_window_pattern": 3});
    assert_eq!(windows(with("gemma3_text", every_third)), [7, 7, 0, 7, 7, 0]);
    let last = json!({"use_sliding_window": true, "sliding_window": 9, "max_window_layers": 4});
    assert_eq!(windows(with("qwen2", last.clone())), [0, 0, 0, 0, 9, 9]);
    assert_eq!(windows(with("qwen3", last)), [0, 0, 0, 0, 9, 9]);
    assert_eq!(windows(with("qwen2", json!({"sliding_window": 9}))), [0; 6]);
    let (full, sliding) = ("full_attention", "sliding_attention");
    let types = json!({"layer_types": [full, full, sliding, full, full, sliding]});
    assert_eq!(windows(with("gemma2", types)), [0, 0, 4096, 0, 0, 4096]);
}

/// An encoder takes the same for each sample, however long its text: 256 patches of an image and
/// one token for all of it.
#[test]
fn encoders_cost_per_sample() {
    let config = json!({
        "model_type": "llava", "dtype": "float32",
        "text_config": {"model_type": "llama", "num_hidden_layers": 1},
        "vision_config": {
            "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 3,
            "num_attention_heads": 2, "image_size": 32, "patch_size": 2
        }
    });
    let model = model(&config);
    let tower = model.graph.module("model.vision_tower").unwrap();
    let matrices = 3 * (4 * 8 * 8 + 2 * 8 * 16) + 8 * 3 * 2 * 2;
    let pairs = 3 * 4 * 8;
    let flops = 257 * 2 * matrices + 257 * 257 * pairs;
    assert_eq!(tower.flops, Cost { per_sample: flops, ..Cost::default() });
    let kept = |numbers: u64| Cost { per_sample: 4 * 257 * 3 * numbers, ..Cost::default() };
    let (whole, cut) = (kept(6 * 8 + 8), kept(7 * 8 + 2 * 16 + 16));
    assert_eq!(tower.activation_bytes, Kept { whole, cut, added: kept(4 * 8) });
    let projector = model.graph.module("model.multi_modal_projector").unwrap();
    let flops = 256 * 2 * (8 * 4096 + 4096 * 4096);
    assert_eq!(projector.flops, Cost { per_sample: flops, ..Cost::default() });
}

/// The head of SigLIP makes a query of its own, and keys and values of all 256 patches.
#[test]
fn a_head_that_pools_takes_keys_and_values_of_all_tokens() {
    let flops = |with_head: bool| {
        let config = json!({
            "model_type": "llava", "text_config": {"model_type": "llama", "num_hidden_layers": 1},
            "vision_config": {
                "model_type": "siglip_vision_model", "hidden_size": 8, "intermediate_size": 16,
                "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 2,
                "vision_use_head": with_head
            }
        });
        model(&config).graph.module("model.vision_tower").unwrap().flops.per_sample
    };
    let of_the_query = 2 * (8 * 8 + 8 * 8 + 2 * 8 * 16);
    let head = of_the_query + 256 * 2 * (2 * 8 * 8);
    let counted = flops(true) - flops(false);
    // By the token, and so to the next number below.
    assert!(counted <= head && head - counted < 256, "{counted} {head}");
}
