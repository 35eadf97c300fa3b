//! The reference model that transformers has computed, and how to compare with it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use autopipe_models::{AutoModel, load_folder};
use autopipe_runtime::{Model, StageModel};
use candle_core::{DType, Device, Tensor};

pub(crate) fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/llama").join(file)
}

pub(crate) fn llama() -> AutoModel {
    load_folder(&path("")).unwrap()
}

pub(crate) fn tensors(file: &str) -> BTreeMap<String, Tensor> {
    candle_core::safetensors::load(path(file), &Device::Cpu).unwrap().into_iter().collect()
}

/// What transformers computed: the logits, and every gradient by its parameter's name.
pub(crate) fn reference() -> (Tensor, BTreeMap<String, Tensor>) {
    let mut tensors = tensors("reference.safetensors");
    let logits = tensors.remove("logits").unwrap();
    let grads = tensors.into_iter().map(|(name, grad)| (name["grad.".len()..].to_owned(), grad));
    (logits, grads.collect())
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
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// `|a - b| / |b|`.
pub(crate) fn relative_l2(a: &Tensor, b: &Tensor) -> f64 {
    let norm = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>().sqrt();
    let (a, b) = (flat(a), flat(b));
    let difference: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    norm(&difference) / norm(&b)
}
