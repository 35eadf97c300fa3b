//! Loss, logits and gradients of the unsplit model equal what transformers computed.

use autopipe_nn::{count_labels, cross_entropy_sum};
use autopipe_runtime::{Keywords, StageModel};

use crate::fixture::{build, flat, llama, path, reference, relative_l2, tensors};

fn whole() -> Box<dyn StageModel> {
    let model = llama();
    let all: Vec<String> =
        model.as_model().graph().modules().map(|module| module.name.clone()).collect();
    build(model.as_model(), &all)
}

#[test]
fn logits() {
    let outputs = whole()
        .forward(&[tensors("batch.safetensors")["input_ids"].clone()], &Keywords::new())
        .unwrap();
    let (expected, _) = reference();
    assert_eq!(outputs[0].dims(), expected.dims());
    for (got, expected) in flat(&outputs[0]).into_iter().zip(flat(&expected)) {
        assert!((got - expected).abs() <= 1e-4 * expected.abs().max(1.0), "{got} for {expected}");
    }
}

#[test]
fn loss_and_gradients() {
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path("reference.json")).unwrap()).unwrap();
    let batch = tensors("batch.safetensors");
    let stage = whole();

    let logits = stage.forward(&[batch["input_ids"].clone()], &Keywords::new()).unwrap();
    let num_labels = count_labels(&batch["labels"]).unwrap();
    assert_eq!(num_labels, json["num_label_tokens"]);
    let loss =
        (cross_entropy_sum(&logits[0], &batch["labels"]).unwrap() / num_labels as f64).unwrap();
    let expected = json["loss"].as_f64().unwrap();
    let got = flat(&loss)[0];
    assert!((got - expected).abs() <= 1e-5 * expected, "loss {got} for {expected}");

    let mut grads = loss.backward().unwrap();
    stage.parameters().collect(&mut grads).unwrap();
    let (_, expected) = reference();
    assert_eq!(stage.parameters().len(), expected.len());
    for parameter in stage.parameters() {
        let name = parameter.name();
        let grad = parameter.grad().unwrap_or_else(|| panic!("{name} has no gradient"));
        let difference = relative_l2(&grad, &expected[name]);
        assert!(difference <= 1e-4, "the gradient of {name} differs by {difference:e}");
    }
}

#[test]
fn biases_get_gradients_too() {
    let json = serde_json::json!({
        "model_type": "llama", "vocab_size": 32, "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "attention_bias": true, "mlp_bias": true,
    });
    let model = autopipe_models::from_config(&json, 3).unwrap();
    let all: Vec<String> =
        model.as_model().graph().modules().map(|module| module.name.clone()).collect();
    let stage = build(model.as_model(), &all);
    let ids = candle_core::Tensor::new(&[[1u32, 5, 9, 2, 7]], &candle_core::Device::Cpu).unwrap();
    let logits = stage.forward(std::slice::from_ref(&ids), &Keywords::new()).unwrap();
    let mut grads = cross_entropy_sum(&logits[0], &ids).unwrap().backward().unwrap();
    stage.parameters().collect(&mut grads).unwrap();
    assert_eq!(stage.parameters().iter().filter(|p| p.name().ends_with(".bias")).count(), 2 * 7);
    for parameter in stage.parameters() {
        let size: f64 = flat(&parameter.grad().unwrap()).iter().map(|x| x.abs()).sum();
        assert!(size > 0.0, "{} has no gradient", parameter.name());
    }
}
