//! A chain of stages computes what the model in one piece computes.

use autopipe_models::from_config;
use autopipe_runtime::{Keywords, Model};
use candle_core::{Device, Tensor};
use serde_json::json;

use crate::fixture::{build, flat, llama, modules, path, tensors};

/// `modules` in `num_stages` pieces of nearly the same length.
fn pieces(modules: &[String], num_stages: usize) -> Vec<&[String]> {
    let cut = |stage| modules.len() * stage / num_stages;
    (0..num_stages).map(|stage| &modules[cut(stage)..cut(stage + 1)]).collect()
}

fn chained(model: &dyn Model, stages: &[&[String]], ids: &Tensor) -> Tensor {
    let first = vec![ids.clone()];
    let outputs = stages.iter().fold(first, |inputs, modules| {
        build(model, modules).forward(&inputs, &Keywords::new()).unwrap()
    });
    outputs[0].clone()
}

#[test]
fn logits_of_every_split_are_those_of_the_whole() {
    let model = llama();
    let model = model.as_model();
    let ids = &tensors(&path("batch.safetensors"))["input_ids"];
    let modules = modules(model);
    let whole = flat(&chained(model, &[&modules], ids));
    for num_stages in 2..=modules.len() {
        assert_eq!(
            flat(&chained(model, &pieces(&modules, num_stages), ids)),
            whole,
            "{num_stages} stages"
        );
    }
}

#[test]
fn a_stage_has_only_its_own_parameters() {
    let model = llama();
    let model = model.as_model();
    let stage = build(model, &["model.layers.3", "model.norm"].map(str::to_owned));
    let mut names: Vec<&str> =
        stage.parameters().iter().map(|parameter| parameter.name()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "model.layers.3.input_layernorm.weight",
            "model.layers.3.mlp.down_proj.weight",
            "model.layers.3.mlp.gate_proj.weight",
            "model.layers.3.mlp.up_proj.weight",
            "model.layers.3.post_attention_layernorm.weight",
            "model.layers.3.self_attn.k_proj.weight",
            "model.layers.3.self_attn.o_proj.weight",
            "model.layers.3.self_attn.q_proj.weight",
            "model.layers.3.self_attn.v_proj.weight",
            "model.norm.weight",
        ]
    );
}

#[test]
fn random_weights_do_not_depend_on_the_split() {
    let json = json!({
        "model_type": "llama", "vocab_size": 32, "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 3, "num_attention_heads": 4,
    });
    let model = from_config(&json, 11).unwrap();
    let other = from_config(&json, 12).unwrap();
    let modules = modules(model.as_model());
    let whole = build(model.as_model(), &modules);
    let differs = build(other.as_model(), &modules);
    for piece in pieces(&modules, 4) {
        for parameter in build(model.as_model(), piece).parameters() {
            let name = parameter.name();
            let (value, same) = (flat(parameter.value()), whole.parameters().get(name).unwrap());
            assert_eq!(value, flat(same.value()), "{name}");
            let is_random = !name.contains("norm");
            assert_eq!(
                value != flat(differs.parameters().get(name).unwrap().value()),
                is_random,
                "{name}"
            );
        }
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let model = llama();
    let model = model.as_model();
    let first = build(model, &["model.embed_tokens".to_owned()]);
    let later = build(model, &["model.layers.0".to_owned()]);
    let message = |result: candle_core::Result<Vec<Tensor>>| result.unwrap_err().to_string();
    let ids = Tensor::zeros((1, 4), candle_core::DType::U32, &Device::Cpu).unwrap();
    let narrow = Tensor::zeros((1, 4, 32), candle_core::DType::F32, &Device::Cpu).unwrap();
    assert!(
        message(first.forward(std::slice::from_ref(&narrow), &Keywords::new()))
            .starts_with("the first stage takes token ids [batch, sequence], got [1, 4, 32]")
    );
    assert!(
        message(later.forward(&[narrow], &Keywords::new()))
            .starts_with("a later stage takes hidden states [batch, sequence, 64], got [1, 4, 32]")
    );
    assert!(
        message(later.forward(&[ids.clone(), ids], &Keywords::new()))
            .starts_with("a decoder takes one input, got 2")
    );
}
