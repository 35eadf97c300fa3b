//! Ranks that have parts of a stage compute together what one computes that has all of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use autopipe_models::{
    AutoModel, Error, Family, Lora, Options, Recompute, TensorParallelProblem, from_config,
    from_config_with, load_folder, load_folder_with,
};
use autopipe_nn::{
    Combine, Cut, IGNORE_INDEX, Noise, Parameters, Pass, TensorParallelGroup, cross_entropy_sum,
    cross_entropy_sum_among, init,
};
use autopipe_runtime::{Keywords, StageModel};
use candle_core::{DType, Device, Result, Tensor, bail};
use serde_json::{Value, json};

use crate::fixture::{assert_same, flat, folder, folders, modules, reference, tensors};
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

fn build(model: &AutoModel, modules: &[String], group: Option<&Group>) -> Box<dyn StageModel> {
    let model = model.as_model();
    match group {
        Some(group) => model.build_stage_among(modules, &Device::Cpu, group).unwrap(),
        None => model.build_stage(modules, &Device::Cpu).unwrap(),
    }
}

/// Adapters that do something: their second matrices are zero at first.
fn set_adapters(parameters: &Parameters) {
    for parameter in parameters.iter().filter(|p| p.name().ends_with("lora_B.weight")) {
        let shape = parameter.cut().map_or(parameter.shape(), Cut::whole_shape);
        let value =
            init::normal(shape.dims(), 0.1, 3, parameter.name(), DType::F32, &Device::Cpu).unwrap();
        let value = parameter.cut().map_or(value.clone(), |cut| cut.take(&value).unwrap());
        parameter.var().unwrap().set(&value).unwrap();
    }
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
    let parts = |of: fn(&autopipe_nn::Parameter) -> Option<Tensor>| {
        let part = |p| Some((of(p)?, autopipe_nn::Parameter::cut(p).cloned()));
        parameters.iter().filter_map(|p| Some((p.name().to_owned(), part(p)?))).collect()
    };
    Run {
        loss: flat(&loss)[0],
        values: parts(|p| Some(p.value().detach())),
        grads: parts(autopipe_nn::Parameter::grad),
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

#[test]
fn every_family_in_parts_is_the_whole_model() {
    for family in Family::ALL {
        for is_tied in [false, true] {
            let changes = json!({"tie_word_embeddings": is_tied});
            let model = from_config(&config(&family.to_string(), &changes), 3).unwrap();
            for size in [2, 4] {
                let what = format!("{family}, tied: {is_tied}, {size} ranks");
                assert_same_among(&what, &model, &batch(61), size, FLOAT32);
            }
        }
    }
}

#[test]
fn every_reference_model_in_parts_is_the_whole_one() {
    for name in folders() {
        let model = load_folder(&folder(&name)).unwrap();
        let given = tensors(&folder(&name).join("batch.safetensors"));
        let (ids, labels) = (given["input_ids"].clone(), given["labels"].clone());
        assert_same_among(&name, &model, &Batch { ids, labels }, 2, FLOAT32);
    }
}

#[test]
fn a_model_with_all_biases_adds_each_once() {
    let model = from_config(&config("llama", &json!({"mlp_bias": true})), 3).unwrap();
    // They are zero at first.
    let run = |group: Option<&Group>| {
        let stage = build(&model, &modules(model.as_model()), group);
        for parameter in stage.parameters().iter().filter(|p| p.name().ends_with("bias")) {
            let shape = parameter.cut().map_or(parameter.shape(), Cut::whole_shape);
            let name = parameter.name();
            let value = init::normal(shape.dims(), 1., 3, name, DType::F32, &Device::Cpu).unwrap();
            let value = parameter.cut().map_or(value.clone(), |cut| cut.take(&value).unwrap());
            parameter.var().unwrap().set(&value).unwrap();
        }
        let batch = batch(61);
        let logits = stage.forward(&[batch.ids], &Keywords::new()).unwrap().remove(0);
        flat(&loss_of(&logits, &batch.labels, group).unwrap())[0]
    };
    let whole = run(None);
    for loss in ranks(4, |group| run(Some(group))) {
        assert!((loss - whole).abs() <= FLOAT32 * whole, "{loss} for {whole}");
    }
}

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
    let given = tensors(&folder("llama").join("batch.safetensors"));
    let batch = Batch { ids: given["input_ids"].clone(), labels: given["labels"].clone() };
    for name in ["llama_lora", "llama_lora_head"] {
        let lora = Some(Lora::load(&folder(name)).unwrap());
        let options = Options { lora, ..Options::default() };
        let model = load_folder_with(&folder("llama"), options).unwrap();
        assert_same_among(name, &model, &batch, 2, FLOAT32);
    }
}

#[test]
fn recomputed_layers_and_late_weights_give_the_same_bits() {
    let adapters = Lora::new(3, ["all-linear"]);
    for (family, lora) in [("qwen3_moe", None), ("gemma3_text", None), ("llama", Some(adapters))] {
        let runs = |recompute, weights| {
            let options = Options { recompute, lora: lora.clone(), ..Options::default() };
            let model = from_config_with(&config(family, &json!({})), 3, options).unwrap();
            let runs = ranks(2, |group| run(&model, &batch(61), Some(group), weights));
            joined(&runs, |run| &run.grads)
        };
        let expected = runs(Recompute::None, Weights::AtOnce);
        for (recompute, weights) in [
            (Recompute::None, Weights::Late),
            (Recompute::All, Weights::AtOnce),
            (Recompute::Every(2), Weights::Late),
        ] {
            for (name, grad) in runs(recompute, weights) {
                assert!(flat(&grad) == flat(&expected[&name]), "{family}: {name} differs");
            }
        }
    }
}

#[test]
fn half_precision_in_parts_is_close_to_the_whole() {
    for family in ["qwen3", "phi3", "mixtral"] {
        let options = Options { dtype: DType::BF16, ..Options::default() };
        let model = from_config_with(&config(family, &json!({})), 3, options).unwrap();
        assert_same_among(family, &model, &batch(61), 2, 0.1);
    }
}

#[test]
fn an_evaluation_needs_no_graph() {
    let model = from_config(&config("gemma2", &json!({})), 3).unwrap();
    let whole = run(&model, &batch(61), None, Weights::AtOnce);
    let parts = ranks(4, |group| {
        let stage = build(&model, &modules(model.as_model()), Some(group));
        let Batch { ids, labels } = batch(61);
        stage.parameters().no_grad(|| {
            let logits = stage.forward(&[ids], &Keywords::new()).unwrap().remove(0);
            let loss = loss_of(&logits, &labels, Some(group)).unwrap();
            assert!(!logits.track_op() && !loss.track_op());
            (logits, flat(&loss)[0])
        })
    });
    let (logits, losses): (Vec<Tensor>, Vec<f64>) = parts.into_iter().unzip();
    assert!(losses.iter().all(|loss| (loss - whole.loss).abs() <= FLOAT32 * whole.loss));
    let widths: Vec<usize> = logits.iter().map(|logits| logits.dims()[2]).collect();
    assert_eq!(widths, [16, 15, 15, 15]);
    for (got, expected) in flat(&Tensor::cat(&logits, 2).unwrap()).iter().zip(flat(&whole.logits)) {
        assert!((got - expected).abs() <= FLOAT32 * expected.abs().max(1.), "{got} for {expected}");
    }
}

#[test]
fn stages_in_parts_hand_whole_hidden_states_on() {
    let model = from_config(&config("llama", &json!({"tie_word_embeddings": true})), 3).unwrap();
    let names = modules(model.as_model());
    let whole = run(&model, &batch(61), None, Weights::AtOnce);
    let parts = ranks(2, |group| {
        let (first, last) = names.split_at(2);
        let first = build(&model, first, Some(group));
        let last = build(&model, last, Some(group));
        // The tied head is a copy of its own here, cut as the embedding is.
        let cut = |stage: &dyn StageModel, name| {
            stage.parameters().get(name).unwrap().cut().unwrap().clone()
        };
        let tied = cut(last.as_ref(), "lm_head.weight");
        assert_eq!(tied, cut(first.as_ref(), "model.embed_tokens.weight"));
        let hidden = first.forward(&[batch(61).ids], &Keywords::new()).unwrap();
        (hidden[0].detach(), last.forward(&hidden, &Keywords::new()).unwrap().remove(0))
    });
    assert_eq!(flat(&parts[0].0), flat(&parts[1].0));
    let logits: Vec<Tensor> = parts.into_iter().map(|(_, logits)| logits).collect();
    for (got, expected) in flat(&Tensor::cat(&logits, 2).unwrap()).iter().zip(flat(&whole.logits)) {
        assert!((got - expected).abs() <= FLOAT32 * expected.abs().max(1.), "{got} for {expected}");
    }
}

fn problems(model: &AutoModel, num_ranks: usize) -> Vec<String> {
    match model.check_tensor_parallel(num_ranks) {
        Ok(()) => Vec::new(),
        Err(Error::TensorParallel { num_ranks: told, problems }) => {
            assert_eq!(told, num_ranks);
            problems.iter().map(ToString::to_string).collect()
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn what_cannot_be_cut_is_refused_all_at_once() {
    let model = from_config(&config("llama", &json!({"num_attention_heads": 12})), 3).unwrap();
    assert!([1, 2, 4].iter().all(|num_ranks| problems(&model, *num_ranks).is_empty()));
    assert_eq!(problems(&model, 0), ["there has to be at least one"]);
    assert_eq!(
        problems(&model, 3),
        [
            "each rank has whole heads, and `num_key_value_heads` is 4; the numbers that do are 1, 2, 4, \
         and more ranks can be data-parallel or in a pipeline"
        ]
    );
    let small = json!({"vocab_size": 7, "intermediate_size": 3, "pad_token_id": null});
    let small = from_config(&config("llama", &small), 3).unwrap();
    assert_eq!(
        problems(&small, 16),
        [
            "each rank has whole heads, and `num_attention_heads` is 8; the numbers that do are 1, 2, \
             4, and more ranks can be data-parallel or in a pipeline",
            "each rank has whole heads, and `num_key_value_heads` is 4; the numbers that do are 1, 2, \
             4, and more ranks can be data-parallel or in a pipeline",
            "each rank has a part of the vocabulary, which has 7; use that many ranks or fewer",
            "each rank has a part of a feed-forward block, which has 3; use that many ranks or fewer",
        ]
    );
    let refused = ranks(3, |group| {
        let names = modules(model.as_model());
        let built = model.as_model().build_stage_among(&names, &Device::Cpu, group);
        built.err().unwrap().to_string()
    });
    for message in refused {
        assert!(
            message.starts_with(
                "the model cannot be cut among 3 tensor-parallel ranks: each rank has whole heads"
            ),
            "{message}"
        );
    }
    let fitting = vec![1, 2, 4];
    let heads = TensorParallelProblem::Heads { key: "num_key_value_heads", value: 4, fitting };
    let expected = Error::TensorParallel { num_ranks: 3, problems: vec![heads] };
    assert_eq!(model.check_tensor_parallel(3).unwrap_err().to_string(), expected.to_string());
}

/// A group in which nobody else is.
#[derive(Debug)]
struct Broken {
    /// How the pass is called on which it shows.
    fails: Pass,
}

impl TensorParallelGroup for Broken {
    fn rank(&self) -> usize {
        1
    }

    fn size(&self) -> usize {
        2
    }

    fn all_reduce(&self, tensor: &Tensor, _: Combine, pass: Pass) -> Result<Tensor> {
        if pass == self.fails {
            bail!("rank 0 is gone");
        }
        Ok(tensor.clone())
    }
}

#[test]
fn a_rank_that_is_gone_is_an_error() {
    let options = Options { recompute: Recompute::All, ..Options::default() };
    let model = from_config_with(&config("qwen3_moe", &json!({})), 3, options).unwrap();
    let names = modules(model.as_model());
    let stage = |fails| {
        let group: Group = Arc::new(Broken { fails });
        build(&model, &names, Some(&group))
    };
    let ids = [batch(61).ids];
    let error = stage(Pass::Forward).forward(&ids, &Keywords::new()).unwrap_err();
    assert!(error.to_string().contains("rank 0 is gone"), "{error}");
    let stage = stage(Pass::Backward);
    let logits = stage.forward(&ids, &Keywords::new()).unwrap().remove(0);
    let error = logits.sum_all().unwrap().backward().unwrap_err();
    assert!(error.to_string().contains("rank 0 is gone"), "{error}");
}

#[test]
fn one_rank_alone_has_all_of_it_and_what_transformers_computes() {
    let model = load_folder(&folder("qwen3_moe")).unwrap();
    let given = tensors(&folder("qwen3_moe").join("batch.safetensors"));
    let batch = Batch { ids: given["input_ids"].clone(), labels: given["labels"].clone() };
    let stage = ranks(1, |group| run(&model, &batch, Some(group), Weights::Late)).remove(0);
    let num_labels = autopipe_nn::count_labels(&batch.labels).unwrap() as f64;
    let grads = stage.grads.iter();
    let grads = grads.map(|(name, (grad, _))| (name.clone(), (grad / num_labels).unwrap()));
    let got = crate::fixture::Computed {
        loss: stage.loss / num_labels,
        logits: stage.logits.clone(),
        grads: grads.collect(),
    };
    assert_same("qwen3_moe", &got, &reference("qwen3_moe"), 1e-4);
}
