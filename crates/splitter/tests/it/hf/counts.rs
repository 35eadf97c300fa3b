//! Parameters are as many as those of published models, and as those of transformers' defaults.

use autopipe_splitter::{HfNesting, hf_model};
use serde_json::json;

use super::published;

#[test]
fn published_models_have_their_number_of_parameters() {
    let published = published();
    assert!(published.len() > 25, "{}", published.len());
    for (name, entry) in published {
        for nesting in [HfNesting::Modules, HfNesting::Checkpoint] {
            let model = hf_model(&entry["config"], nesting);
            let model = model.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(json!(model.graph.num_parameters()), entry["num_parameters"], "{name}");
        }
    }
}

/// Counted by transformers from configs that say nothing but what kind of model they are. That of
/// GLM-4.5 is refused, since its heads do not divide its width.
#[test]
fn defaults_are_those_of_transformers() {
    let recorded = [
        ("deepseek_v2", 38_612_307_968),
        ("deepseek_v3", 671_026_419_200),
        ("gemma", 8_537_680_896),
        ("gemma2", 2_614_341_888),
        ("gemma3_text", 2_628_658_432),
        ("glm4", 9_400_279_040),
        ("gpt_oss", 116_829_156_672),
        ("llama", 6_738_415_616),
        ("mistral", 7_241_732_096),
        ("mixtral", 46_702_792_704),
        ("olmo2", 6_888_624_128),
        ("olmo3", 6_888_624_128),
        ("phi3", 3_821_079_552),
        ("qwen2", 12_049_846_272),
        ("qwen2_moe", 14_315_784_192),
        ("qwen3", 12_049_461_248),
        ("qwen3_moe", 15_350_731_776),
        ("starcoder2", 3_030_371_328),
    ];
    for (model_type, num_parameters) in recorded {
        let model = hf_model(&json!({"model_type": model_type}), HfNesting::Modules);
        let model = model.unwrap_or_else(|error| panic!("{model_type}: {error}"));
        assert_eq!(model.graph.num_parameters(), num_parameters, "{model_type}");
    }
}
