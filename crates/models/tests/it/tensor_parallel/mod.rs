//! Ranks that have parts of a stage compute together what one computes that has all of it.

mod adapters;
mod refused;
mod steps;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;

use autopipe_models::AutoModel;
use autopipe_nn::{
    Cut, IGNORE_INDEX, Noise, Parameter, Parameters, TensorParallelGroup, cross_entropy_sum,
    cross_entropy_sum_among, init,
};
use autopipe_runtime::{Keywords, StageModel};
use candle_core::{DType, Device, Result, Tensor};
use serde_json::{Value, json};

use crate::fixture::{flat, folder, modules, tensors};
use crate::threads::ranks;

type Group = Arc<dyn TensorParallelGroup>;

/// What a rank has of a parameter, or of its gradient.
type Parts = BTreeMap<String, (Tensor, Option<Cut>)>;

/// What a rank computes of a batch.
struct Run {
    loss: f64,
    values: Parts,
    grads: Parts,
    /// Of its own classes.
    logits: Tensor,
}

/// Token ids and labels.
struct Batch {
    ids: Tensor,
    labels: Tensor,
}

/// How the weight gradients are computed.
#[derive(Clone, Copy)]
enum Weights {
    AtOnce,
    Late,
}

/// Two sequences of ids below `vocab_size`, first and last among them, and labels, not everywhere.
fn batch(vocab_size: usize) -> Batch {
    let size = u32::try_from(vocab_size).unwrap();
    let ids: Vec<u32> = (0..14u32).map(|i| (i * i * 7 + 3 * i + size - 1) % size).collect();
    let labels: Vec<i64> = (0..14i64)
        .map(|i| if i % 5 == 3 { IGNORE_INDEX } else { (i * 11 + 4) % i64::from(size) })
        .collect();
    Batch {
        ids: Tensor::from_vec(ids, (2, 7), &Device::Cpu).unwrap(),
        labels: Tensor::from_vec(labels, (2, 7), &Device::Cpu).unwrap(),
    }
}

/// The batch of a reference model.
fn batch_of(name: &str) -> Batch {
    let mut given = tensors(&folder(name).join("batch.safetensors"));
    let mut take = |name| given.remove(name).unwrap();
    Batch { ids: take("input_ids"), labels: take("labels") }
}

fn build(model: &AutoModel, modules: &[String], group: Option<&Group>) -> Box<dyn StageModel> {
    let model = model.as_model();
    match group {
        Some(group) => model.build_stage_among(modules, &Device::Cpu, group).unwrap(),
        None => model.build_stage(modules, &Device::Cpu).unwrap(),
    }
}

/// Adapters that do something: their second matrices are zero at first.
fn set_adapters(parameters: &Parameters) {
    parameters.iter().filter(|p| p.name().ends_with("lora_B.weight")).for_each(set);
}

/// Gives a parameter random numbers, or a rank its part of them.
fn set(parameter: &Parameter) {
    let shape = parameter.cut().map_or(parameter.shape(), Cut::whole_shape);
    let name = parameter.name();
    let value = init::normal(shape.dims(), 0.1, 3, name, DType::F32, &Device::Cpu).unwrap();
    let value = parameter.cut().map_or(value.clone(), |cut| cut.take(&value).unwrap());
    parameter.var().unwrap().set(&value).unwrap();
}

fn loss_of(logits: &Tensor, labels: &Tensor, group: Option<&Group>) -> Result<Tensor> {
    match group {
        Some(group) => cross_entropy_sum_among(logits, labels, group),
        None => cross_entropy_sum(logits, labels),
    }
}

fn run(model: &AutoModel, batch: &Batch, group: Option<&Group>, weights: Weights) -> Run {
    let stage = build(model, &modules(model.as_model()), group);
    let parameters = stage.parameters();
    set_adapters(parameters);
    // Half of a step; adapters drop numbers if they are told to.
    let noise = Some(Noise { seed: 5, first_row: 2 });
    let keywords = Keywords::new().with_share(0.5).with_noise(noise);
    let logits = stage.forward(std::slice::from_ref(&batch.ids), &keywords).unwrap().remove(0);
    let loss = loss_of(&logits, &batch.labels, group).unwrap();
    let mut grads = match weights {
        Weights::AtOnce => loss.backward().unwrap(),
        Weights::Late => {
            let (grads, late) = parameters.deferring(|| loss.backward());
            assert!(!late.is_empty());
            late.run().unwrap();
            grads.unwrap()
        }
    };
    parameters.collect(&mut grads).unwrap();
    let parts = |of: fn(&Parameter) -> Option<Tensor>| {
        let part = |p| Some((of(p)?, Parameter::cut(p).cloned()));
        parameters.iter().filter_map(|p| Some((p.name().to_owned(), part(p)?))).collect()
    };
    Run {
        loss: flat(&loss)[0],
        values: parts(|p| Some(p.value().detach())),
        grads: parts(Parameter::grad),
        logits: logits.detach(),
    }
}

/// What the ranks have together of each name, and what is not cut of the same bits on all of them.
fn joined(runs: &[Run], parts: impl Fn(&Run) -> &Parts) -> BTreeMap<String, Tensor> {
    let first = parts(&runs[0]);
    for run in runs {
        assert!(parts(run).keys().eq(first.keys()));
    }
    let join = |(name, (tensor, cut)): (&String, &(Tensor, Option<Cut>))| {
        let all: Vec<Tensor> = runs.iter().map(|run| parts(run)[name].0.clone()).collect();
        let whole = match cut {
            Some(cut) => cut.join(&all).unwrap(),
            None => {
                all.iter().for_each(|part| assert!(flat(part) == flat(tensor), "{name} differs"));
                tensor.clone()
            }
        };
        (name.clone(), whole)
    };
    first.iter().map(join).collect()
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Asserts that ranks, so many, compute what one computes, up to `tolerance`.
#[track_caller]
fn assert_same_among(what: &str, model: &AutoModel, batch: &Batch, size: usize, tolerance: f64) {
    let whole = run(model, batch, None, Weights::AtOnce);
    let runs = ranks(size, |group| run(model, batch, Some(group), Weights::Late));
    for run in &runs {
        assert_eq!(run.loss.to_bits(), runs[0].loss.to_bits(), "{what}");
        assert!((run.loss - whole.loss).abs() <= tolerance * whole.loss, "{what}: {}", run.loss);
    }
    for (name, value) in joined(&runs, |run| &run.values) {
        assert!(flat(&value) == flat(&whole.values[&name].0), "{what}: {name} begins as another");
    }
    let grads = joined(&runs, |run| &run.grads);
    assert!(grads.keys().eq(whole.grads.keys()), "{what}: other parameters have gradients");
    let of_all = norm(&whole.grads.values().flat_map(|(grad, _)| flat(grad)).collect::<Vec<_>>());
    for (name, grad) in grads {
        let (grad, expected) = (flat(&grad), flat(&whole.grads[&name].0));
        let difference: Vec<f64> = grad.iter().zip(&expected).map(|(a, b)| a - b).collect();
        // Some gradients are zero but for rounding, such as those of biases of keys.
        let bound = tolerance * norm(&expected).max(1e-2 * of_all);
        let (difference, size) = (norm(&difference), norm(&expected));
        assert!(difference <= bound, "{what}: {name} differs by {difference:e} of {size:e}");
    }
}

/// A small config of a family: heads for four ranks, a vocabulary and a width that are uneven.
fn config(family: &str, changes: &Value) -> Value {
    let mut config = json!({
        "model_type": family, "vocab_size": 61, "hidden_size": 16, "intermediate_size": 22,
        "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 4,
        "max_position_embeddings": 32, "initializer_range": 0.2, "pad_token_id": 5,
        "sliding_window": 4, "use_sliding_window": true, "attention_bias": true,
    });
    let more = match family {
        "gemma2" | "gemma3_text" => json!({"query_pre_attn_scalar": 4}),
        "mixtral" => json!({"num_local_experts": 4, "num_experts_per_tok": 2}),
        "phi3" => {
            json!({"head_dim": null, "hidden_size": 32, "original_max_position_embeddings": 32})
        }
        "qwen3_moe" => json!({
            "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 10,
            "mlp_only_layers": [1],
        }),
        _ => json!({}),
    };
    let of_experts = json!({"output_router_logits": true, "router_aux_loss_coef": 0.5});
    for changes in [&more, &of_experts, changes] {
        let (Value::Object(config), Value::Object(changes)) = (&mut config, changes) else {
            unreachable!()
        };
        config.extend(changes.clone());
    }
    if !matches!(family, "mixtral" | "qwen3_moe") {
        let config = config.as_object_mut().unwrap();
        config.retain(|key, _| !key.contains("router"));
    }
    config
}

const FLOAT32: f64 = 1e-5;
