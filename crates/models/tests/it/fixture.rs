//! The reference models that transformers has computed, and how to compare with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use autopipe_models::{AutoModel, Family, load_folder};
use autopipe_nn::{count_labels, cross_entropy_sum};
use autopipe_runtime::{Keywords, Model, StageModel};
use candle_core::{DType, Device, Tensor};

/// A folder with a reference: where this package is now, as a binary may run elsewhere than where it was
/// built.
pub(crate) fn folder(name: &str) -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "cargo tells a test so where its package is")]
    let package = std::env::var_os("CARGO_MANIFEST_DIR");
    let package = package.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(package).join("tests/fixtures").join(name)
}

/// All folders with a whole model, by name.
pub(crate) fn folders() -> Vec<String> {
    let entries = std::fs::read_dir(folder("")).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = entries
        .filter(|path| path.join("config.json").exists())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    names
}

/// Those of models without experts: of the others, a rounding may send a token elsewhere.
pub(crate) fn dense_folders() -> Vec<String> {
    let is_dense = |name: &String| {
        let family = load_folder(&folder(name)).unwrap().family();
        !matches!(family, Family::Mixtral | Family::Qwen3Moe)
    };
    folders().into_iter().filter(is_dense).collect()
}

pub(crate) fn path(file: &str) -> PathBuf {
    folder("llama").join(file)
}

pub(crate) fn llama() -> AutoModel {
    load_folder(&folder("llama")).unwrap()
}

pub(crate) fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
}

/// What was computed of a folder's batch.
pub(crate) struct Computed {
    pub(crate) loss: f64,
    pub(crate) logits: Tensor,
    pub(crate) grads: BTreeMap<String, Tensor>,
}

/// What transformers computed.
pub(crate) fn reference(name: &str) -> Computed {
    let folder = folder(name);
    let text = std::fs::read_to_string(folder.join("reference.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut tensors = tensors(&folder.join("reference.safetensors"));
    let logits = tensors.remove("logits").unwrap();
    let name = |name: &str| {
        let name = name.strip_prefix("grad.").unwrap();
        // PEFT's names begin with its own model and the one that it wraps.
        name.strip_prefix("base_model.model.").unwrap_or(name).to_owned()
    };
    let grads = tensors.into_iter().map(|(key, grad)| (name(&key), grad));
    Computed { loss: json["loss"].as_f64().unwrap(), logits, grads: grads.collect() }
}

/// What one stage with everything makes of a folder's batch.
pub(crate) fn computed(model: &dyn Model, batch_of: &str) -> Computed {
    computed_on(&Device::Cpu, model, batch_of)
}

/// The same on a device; the batch is on the host.
pub(crate) fn computed_on(device: &Device, model: &dyn Model, batch_of: &str) -> Computed {
    let batch = tensors(&folder(batch_of).join("batch.safetensors"));
    let stage = model.build_stage(&modules(model), device).unwrap();
    let outputs = stage.forward(&[batch["input_ids"].clone()], &Keywords::new()).unwrap();
    let num_labels = count_labels(&batch["labels"]).unwrap() as f64;
    let loss = (cross_entropy_sum(&outputs[0], &batch["labels"]).unwrap() / num_labels).unwrap();
    let mut grads = loss.backward().unwrap();
    stage.parameters().collect(&mut grads).unwrap();
    let grads = stage.parameters().iter();
    let grads = grads.filter_map(|p| p.grad().map(|grad| (p.name().to_owned(), grad)));
    Computed { loss: flat(&loss)[0], logits: outputs[0].clone(), grads: grads.collect() }
}

/// The same loss, logits and gradients.
#[track_caller]
pub(crate) fn assert_same(name: &str, got: &Computed, expected: &Computed, grads: f64) {
    let (loss, wanted) = (got.loss, expected.loss);
    assert!((loss - wanted).abs() <= 1e-5 * wanted, "{name}: loss {loss} for {wanted}");
    assert_eq!(got.logits.dims(), expected.logits.dims(), "{name}");
    for (got, expected) in flat(&got.logits).into_iter().zip(flat(&expected.logits)) {
        let bound = 1e-4 * expected.abs().max(1.0);
        assert!((got - expected).abs() <= bound, "{name}: logit {got} for {expected}");
    }
    let names = |computed: &Computed| computed.grads.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(got), names(expected), "{name}");
    for (parameter, grad) in &got.grads {
        let difference = relative_l2(grad, &expected.grads[parameter]);
        assert!(difference <= grads, "{name}: gradient of {parameter} differs by {difference:e}");
    }
}

/// All modules that have to be on some stage, in their order.
pub(crate) fn modules(model: &dyn Model) -> Vec<String> {
    let names = model.graph().modules().map(|module| module.name.clone()).collect::<Vec<_>>();
    names.into_iter().filter(|name| name != "model.rotary_emb").collect()
}

pub(crate) fn build(model: &dyn Model, modules: &[String]) -> Box<dyn StageModel> {
    model.build_stage(modules, &Device::Cpu).unwrap()
}

pub(crate) fn flat(tensor: &Tensor) -> Vec<f64> {
    let host = tensor.to_device(&Device::Cpu).unwrap();
    host.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// `|a - b| / |b|`.
pub(crate) fn relative_l2(a: &Tensor, b: &Tensor) -> f64 {
    let norm = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>().sqrt();
    let (a, b) = (flat(a), flat(b));
    let difference: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    norm(&difference) / norm(&b)
}
