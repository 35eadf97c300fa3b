//! What is written anew computes what it did, and nothing is overwritten.

use std::fs;
use std::path::Path;

use autopipe::Keywords;
use autopipe_config::DType;
use autopipe_models::{self as models, Lora, from_config, load_folder, load_folder_with};
use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use super::{Exported, Options, export};
use crate::whole::{build_whole, write_whole};

/// A folder with random weights.
fn model(folder: &Path) {
    let config = json!({
        "model_type": "llama", "vocab_size": 32, "hidden_size": 16, "intermediate_size": 16,
        "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 16,
    });
    fs::create_dir_all(folder).unwrap();
    write_whole(&from_config(&config, 3).unwrap(), folder).unwrap();
}

/// A folder of adapters of rank 2 that change something, in PEFT's layout.
fn adapter(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let config = json!({
        "peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "bias": "none"
    });
    fs::write(folder.join("adapter_config.json"), config.to_string()).unwrap();
    let tensors = [0, 1].into_iter().flat_map(|layer| {
        let name = move |matrix: &str| {
            format!("base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{matrix}.weight")
        };
        let values = Tensor::arange(0f32, 32.0, &Device::Cpu).unwrap();
        let values = (values.sin().unwrap() * 0.3).unwrap();
        let (a, b) = (values.reshape((2, 16)).unwrap(), values.reshape((16, 2)).unwrap());
        [(name("A"), a), (name("B"), b)]
    });
    let path = folder.join("adapter_model.safetensors");
    safetensors::serialize_to_file(tensors.collect::<Vec<_>>(), None, &path).unwrap();
}

fn logits(model: &models::AutoModel) -> Vec<f32> {
    let stage = build_whole(model).unwrap();
    let input = Tensor::new(&[[1u32, 5, 9, 31, 0, 7]], &Device::Cpu).unwrap();
    let logits = stage.forward(&[input], &Keywords::new()).unwrap();
    logits[0].to_dtype(candle_core::DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn greatest_difference(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn merged_adapters_compute_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    model(&path("model"));
    adapter(&path("adapter"));
    let options = Options {
        model: path("model"),
        adapter: Some(path("adapter")),
        dtype: None,
        output: path("merged"),
    };
    let exported = export(&options).unwrap();
    let plain = load_folder(&path("model")).unwrap();
    let num_parameters = plain.as_model().graph().num_parameters();
    assert_eq!(exported, Exported { dtype: DType::Float32, num_parameters });
    assert!(!path("merged.partial").exists());

    let lora = Some(Lora::load(&path("adapter")).unwrap());
    let with = models::Options { lora, ..Default::default() };
    let expected = logits(&load_folder_with(&path("model"), with).unwrap());
    let merged = logits(&load_folder(&path("merged")).unwrap());
    assert!(greatest_difference(&merged, &expected) < 1e-6);
    assert!(greatest_difference(&merged, &logits(&plain)) > 1e-3, "the adapters do something");
}

#[test]
fn another_type_is_a_rounding_and_back_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    model(&path("model"));
    let converted = |from: &str, to: &str, dtype| {
        let (model, output) = (path(from), path(to));
        export(&Options { model, adapter: None, dtype, output }).unwrap().dtype
    };
    assert_eq!(converted("model", "half", Some(DType::BFloat16)), DType::BFloat16);
    let text = fs::read_to_string(path("half/config.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["dtype"], "bfloat16");
    let size = |name: &str| fs::metadata(path(name)).unwrap().len();
    let [whole, half] = ["model", "half"].map(|name| size(&format!("{name}/model.safetensors")));
    assert!(half < whole * 6 / 10, "{half} of {whole}");
    // The type that it has, and a wider one.
    assert_eq!(converted("half", "same", None), DType::BFloat16);
    let bytes = |name: &str| fs::read(path(name).join("model.safetensors")).unwrap();
    assert!(bytes("half") == bytes("same"));
    converted("half", "wide", Some(DType::Float32));
    converted("wide", "again", Some(DType::BFloat16));
    assert!(bytes("half") == bytes("again"));
}

#[test]
fn what_is_there_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    model(&path("model"));
    let options = |output| Options { model: path("model"), adapter: None, dtype: None, output };
    let refused = |options: &Options| export(options).unwrap_err().to_string();
    assert!(refused(&options(path("model"))).contains("choose another folder"));
    fs::write(path("file"), "mine").unwrap();
    assert!(refused(&options(path("file"))).contains("choose another folder"));
    fs::create_dir(path("empty")).unwrap();
    export(&options(path("empty"))).unwrap();
    let wide = Options { dtype: Some(DType::Float64), ..options(path("wide")) };
    assert_eq!(
        refused(&wide),
        "nothing is trained in float64; choose float32, bfloat16 or float16"
    );
    let nowhere = Options { model: path("nowhere"), ..options(path("new")) };
    assert!(refused(&nowhere).starts_with("cannot read "));
    assert!(!path("new").exists());
}
