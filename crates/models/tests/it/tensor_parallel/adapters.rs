//! Adapters in parts.

use autopipe_models::{AutoModel, Lora, Options, from_config_with, load_folder_with};
use serde_json::json;

use super::{FLOAT32, assert_same_among, batch, batch_of, config};
use crate::fixture::folder;

fn adapted(family: &str, lora: Lora) -> AutoModel {
    let options = Options { lora: Some(lora), ..Options::default() };
    from_config_with(&config(family, &json!({})), 3, options).unwrap()
}

#[test]
fn adapters_in_parts_are_the_whole_ones() {
    for (family, targets) in [
        ("llama", &["all-linear", "lm_head"][..]),
        ("phi3", &["all-linear"]),
        ("gemma2", &["q_proj", "down_proj"]),
        ("qwen3_moe", &["all-linear", "experts.*", "layers.0.mlp.gate"]),
    ] {
        let model = adapted(family, Lora::new(3, targets.iter().copied()));
        for size in [2, 4] {
            let what = format!("{family} with adapters, {size} ranks");
            assert_same_among(&what, &model, &batch(61), size, FLOAT32);
        }
    }
    let whole = Lora { modules_to_save: vec!["lm_head".to_owned()], ..Lora::new(2, ["o_proj"]) };
    assert_same_among("a head beside", &adapted("qwen3", whole), &batch(61), 4, FLOAT32);
}

#[test]
fn adapters_in_parts_drop_what_the_whole_ones_drop() {
    for family in ["llama", "phi3"] {
        let lora = Lora { dropout: 0.4, ..Lora::new(3, ["all-linear", "lm_head"]) };
        assert_same_among(family, &adapted(family, lora), &batch(61), 4, FLOAT32);
    }
}

#[test]
fn saved_adapters_are_cut_as_they_are_read() {
    for name in ["llama_lora", "llama_lora_head"] {
        let lora = Some(Lora::load(&folder(name)).unwrap());
        let options = Options { lora, ..Options::default() };
        let model = load_folder_with(&folder("llama"), options).unwrap();
        assert_same_among(name, &model, &batch_of("llama"), 2, FLOAT32);
    }
}
