//! Where modules stand, what leads to what, and how a graph is split.

use std::collections::BTreeSet;

use autopipe_splitter::{
    Dim, ElementType, HfModel, HfNames, HfNesting, Role, generate_hf_model_fqn_per_model_part,
    hf_model, split_even,
};
use serde_json::{Value, json};

use super::files;

fn config(name: &str) -> Value {
    files().into_iter().find(|(file, _)| file == name).unwrap().1["config"].take()
}

/// The modules that are on one stage only; of the layers, the first.
fn outline(model: &HfModel) -> Vec<&str> {
    let modules = model.graph.modules().filter(|module| module.role != Role::EveryStage);
    let names = modules.map(|module| module.name.as_str());
    names.filter(|name| !name.contains("layers.") || name.ends_with("layers.0")).collect()
}

fn edges(model: &HfModel) -> Vec<String> {
    let edges = model.graph.edges();
    edges
        .map(|(from, to, tensors)| {
            let dims = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.dims.as_slice()));
            format!("{} -> {}: {:?}", from.name, to.name, dims.collect::<Vec<_>>())
        })
        .collect()
}

#[test]
fn flat_models() {
    let model = hf_model(&config("llama"), HfNesting::Modules).unwrap();
    let all: Vec<_> = model.graph.modules().map(|module| module.name.as_str()).collect();
    let expected = [
        "model.embed_tokens",
        "model.layers.0",
        "model.layers.1",
        "model.layers.2",
        "model.layers.3",
        "model.norm",
        "model.rotary_emb",
        "lm_head",
    ];
    assert_eq!(all, expected);
    let layer = model.graph.module("model.layers.0").unwrap();
    let inner = [
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
    ];
    assert_eq!(layer.submodules, inner);
    assert_eq!(edges(&model).len(), 6);
    for (_, _, tensors) in model.graph.edges() {
        assert_eq!(tensors[0].dims, [Dim::Batch, Dim::Sequence, Dim::Fixed(64 / 2)]);
        assert_eq!(tensors[0].dtype, ElementType::F32);
    }
}

#[test]
fn bare_models() {
    let bare = |name: &str, class: &str| {
        let mut config = config(name);
        config["architectures"] = json!([class]);
        hf_model(&config, HfNesting::Modules).unwrap()
    };
    let llama = bare("llama_bias", "LlamaModel");
    assert_eq!(outline(&llama), ["embed_tokens", "layers.0", "norm"]);
    assert_eq!((llama.names.prefix.as_str(), &llama.names.lm_head), ("", &None));
    assert!(!llama.is_tied);
    let qwen = bare("qwen2_5_vl", "Qwen2_5_VLModel");
    let expected =
        ["visual", "language_model.embed_tokens", "language_model.layers.0", "language_model.norm"];
    assert_eq!(outline(&qwen), expected);
}

#[test]
fn nested_models() {
    let outlines = |name: &str| {
        let both = [HfNesting::Modules, HfNesting::Checkpoint];
        both.map(|nesting| outline(&hf_model(&config(name), nesting).unwrap()).join(" "))
    };
    let modules = "model.vision_tower model.multi_modal_projector \
                   model.language_model.embed_tokens model.language_model.layers.0 \
                   model.language_model.norm lm_head";
    let checkpoint = "vision_tower multi_modal_projector language_model.model.embed_tokens \
                      language_model.model.layers.0 language_model.model.norm \
                      language_model.lm_head";
    for name in ["llava", "llava_siglip", "mistral3", "gemma3"] {
        assert_eq!(outlines(name), [modules, checkpoint], "{name}");
    }
    let audio = |outline: &str| outline.replace("vision", "audio");
    assert_eq!(outlines("qwen2_audio"), [modules, checkpoint].map(audio));
    let qwen = [
        "model.visual model.language_model.embed_tokens model.language_model.layers.0 \
         model.language_model.norm lm_head",
        "visual model.embed_tokens model.layers.0 model.norm lm_head",
    ];
    assert_eq!([outlines("qwen2_vl"), outlines("qwen2_5_vl")], [qwen; 2]);
    let idefics = "model.vision_model model.connector model.text_model.embed_tokens \
                   model.text_model.layers.0 model.text_model.norm lm_head";
    assert_eq!(outlines("idefics3"), [idefics; 2]);
}

#[test]
fn towers_lead_to_the_first_layer() {
    let model = hf_model(&config("mistral3"), HfNesting::Modules).unwrap();
    // An image of 28 by 28 pixels is 4 patches, which the projector makes one token of.
    let expected = [
        "model.vision_tower -> model.multi_modal_projector: [(\"features\", [Batch, Fixed(4), Fixed(24)])]",
        "model.multi_modal_projector -> model.language_model.layers.0: [(\"features\", [Batch, Fixed(1), Fixed(32)])]",
        "model.language_model.embed_tokens -> model.language_model.layers.0: [(\"hidden_states\", [Batch, Sequence, Fixed(32)])]",
    ];
    assert_eq!(edges(&model)[..3], expected);
}

#[test]
fn old_configs_have_the_text_beside_the_encoder() {
    let mut flat = config("qwen2_vl");
    let Value::Object(text) = flat["text_config"].take() else { panic!("no text") };
    let nested = hf_model(&config("qwen2_vl"), HfNesting::Checkpoint).unwrap();
    flat.as_object_mut().unwrap().remove("text_config");
    for (key, value) in text.into_iter().filter(|(key, _)| key != "model_type") {
        flat[key] = value;
    }
    let flat = hf_model(&flat, HfNesting::Checkpoint).unwrap();
    let modules = |model: &HfModel| model.graph.modules().cloned().collect::<Vec<_>>();
    assert_eq!(modules(&flat), modules(&nested));
}

#[test]
fn the_lists_by_name_are_those_of_an_even_split() {
    for (name, file) in files() {
        let mut config = file["config"].clone();
        config["tie_word_embeddings"] = json!(false);
        if config.get("text_config").is_some() {
            config["text_config"]["tie_word_embeddings"] = json!(false);
        }
        for nesting in [HfNesting::Modules, HfNesting::Checkpoint] {
            let model = hf_model(&config, nesting).unwrap();
            for num_stages in 1..=model.num_layers {
                let split = split_even(&model.graph, num_stages).unwrap();
                let lists = generate_hf_model_fqn_per_model_part(
                    num_stages,
                    model.num_layers,
                    &model.names,
                );
                let set = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
                let lists: Vec<_> = lists.unwrap().iter().map(|list| set(list)).collect();
                let split: Vec<_> =
                    split.stages().iter().map(|stage| set(stage.modules())).collect();
                assert_eq!(split, lists, "{name} on {num_stages} stages");
            }
        }
    }
}

#[test]
fn facts_for_a_planner() {
    let mut config = config("deepseek_v3");
    config["torch_dtype"] = config["dtype"].take();
    config["torch_dtype"] = json!("bfloat16");
    config["quantization_config"] = json!({"quant_method": "fp8", "fmt": "e4m3"});
    let model = hf_model(&config, HfNesting::Modules).unwrap();
    assert_eq!(model.model_type, "deepseek_v3");
    assert_eq!((model.vocab_size, model.hidden_size, model.num_layers), (64, 32, 4));
    assert_eq!((model.max_positions, model.is_tied, model.num_mtp_layers), (128, false, 1));
    assert_eq!(model.quantization.as_deref(), Some("fp8"));
    assert_eq!(model.dtype, ElementType::Bf16);
    assert!(model.graph.edges().all(|(_, _, tensors)| tensors[0].dtype == ElementType::Bf16));
    config["torch_dtype"] = Value::Null;
    assert_eq!(hf_model(&config, HfNesting::Modules).unwrap().dtype, ElementType::F32);
}

#[test]
fn a_text_inside_may_give_the_type_and_be_tied() {
    let mut config = config("llava");
    config["dtype"].take();
    config["text_config"]["torch_dtype"] = json!("float16");
    config["text_config"]["tie_word_embeddings"] = json!(true);
    let model = hf_model(&config, HfNesting::Modules).unwrap();
    assert_eq!((model.dtype, model.is_tied), (ElementType::F16, true));
    let head = &model.graph.module("lm_head").unwrap().parameters[0];
    assert_eq!(
        head.shared_with.as_deref(),
        Some("model.language_model.embed_tokens.weight"),
        "the head is the embedding"
    );
}

#[test]
fn more_layers_than_can_be_listed_are_refused() {
    let refused = |num_stages| {
        let lists =
            generate_hf_model_fqn_per_model_part(num_stages, usize::MAX, &HfNames::default());
        lists.unwrap_err().to_string()
    };
    let message =
        format!("{} layers are more than can be listed, the limit is 1048576", usize::MAX);
    assert_eq!([1, usize::MAX].map(refused), [message.clone(), message]);
}
