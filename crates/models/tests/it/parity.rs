//! Loss, logits and gradients of the unsplit models equal what transformers computed.

use autopipe_models::{Options, Recompute, load_folder, load_folder_with};
use autopipe_nn::cross_entropy_sum;
use autopipe_runtime::Keywords;
use candle_core::DType;

use crate::fixture::{
    assert_same, build, computed, dense_folders, flat, folder, folders, reference, relative_l2,
};

#[test]
fn every_family_equals_transformers() {
    let folders = folders();
    assert!(folders.len() >= 24, "{folders:?}");
    for name in &folders {
        let model = load_folder(&folder(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_same(name, &computed(model.as_model(), name), &reference(name), 1e-4);
    }
}

#[test]
fn recomputed_layers_give_the_same_to_the_bit() {
    for name in ["gemma3_text", "qwen3_moe_sparse", "phi3"] {
        let with = |recompute| {
            let options = Options { recompute, ..Options::default() };
            let model = load_folder_with(&folder(name), options).unwrap();
            computed(model.as_model(), name)
        };
        let plain = with(Recompute::None);
        for recompute in [Recompute::All, Recompute::Every(2)] {
            let again = with(recompute);
            assert_eq!(flat(&again.logits), flat(&plain.logits), "{name}");
            for (parameter, grad) in &plain.grads {
                assert_eq!(flat(&again.grads[parameter]), flat(grad), "{name}: {parameter}");
            }
        }
    }
}

/// As on a device for which there are no kernels: the CPU has none for float16.
#[test]
fn every_family_without_kernels_is_near_itself() {
    for name in &dense_folders() {
        let with = |dtype| {
            let options = Options { dtype, ..Options::default() };
            let model = load_folder_with(&folder(name), options).unwrap();
            computed(model.as_model(), name)
        };
        let (half, whole) = (with(DType::F16), with(DType::F32));
        let difference = relative_l2(&half.logits, &whole.logits);
        assert!(difference <= 1e-2, "{name}: the logits differ by {difference:e}");
        assert!(half.grads.keys().eq(whole.grads.keys()), "{name}");
        for (parameter, grad) in &half.grads {
            let difference = relative_l2(grad, &whole.grads[parameter]);
            assert!(difference <= 5e-2, "{name}: gradient of {parameter}: {difference:e}");
        }
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
