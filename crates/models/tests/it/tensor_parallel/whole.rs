//! Models in parts against whole ones.

use autopipe_models::{AutoModel, Family, Options, from_config, from_config_with, load_folder};
use autopipe_nn::count_labels;
use autopipe_runtime::Keywords;
use candle_core::DType;
use serde_json::json;

use super::{
    FLOAT32, Group, Weights, assert_same_among, batch, batch_of, build, config, loss_of, run, set,
};
use crate::fixture::{Computed, assert_same, flat, folder, folders, modules, reference};
use crate::threads::ranks;

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
    // Some have one head of keys and values, which is not cut.
    let can_be_cut = |model: &AutoModel| model.check_tensor_parallel(2).is_ok();
    let models = folders().into_iter().map(|name| {
        let model = load_folder(&folder(&name)).unwrap();
        (name, model)
    });
    let models: Vec<_> = models.filter(|(_, model)| can_be_cut(model)).collect();
    assert!(models.len() >= 20, "{} models", models.len());
    for (name, model) in models {
        assert_same_among(&name, &model, &batch_of(&name), 2, FLOAT32);
    }
}

#[test]
fn a_model_with_all_biases_adds_each_once() {
    let model = from_config(&config("llama", &json!({"mlp_bias": true})), 3).unwrap();
    // They are zero at first.
    let run = |group: Option<&Group>| {
        let stage = build(&model, &modules(model.as_model()), group);
        stage.parameters().iter().filter(|p| p.name().ends_with("bias")).for_each(set);
        let batch = batch(61);
        let logits = stage.forward(&[batch.ids], &Keywords::new()).unwrap().remove(0);
        flat(&loss_of(&logits, &batch.labels, group).unwrap())[0]
    };
    let whole = run(None);
    for loss in ranks(4, |group| run(Some(group))) {
        assert!((loss - whole).abs() <= FLOAT32 * whole, "{loss} for {whole}");
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
fn one_rank_alone_has_all_of_it_and_what_transformers_computes() {
    let model = load_folder(&folder("qwen3_moe")).unwrap();
    let batch = batch_of("qwen3_moe");
    let stage = ranks(1, |group| run(&model, &batch, Some(group), Weights::Late)).remove(0);
    let num_labels = count_labels(&batch.labels).unwrap() as f64;
    let grads = stage.grads.iter();
    let grads = grads.map(|(name, (grad, _))| (name.clone(), (grad / num_labels).unwrap()));
    let got = Computed {
        loss: stage.loss / num_labels,
        logits: stage.logits.clone(),
        grads: grads.collect(),
    };
    assert_same("qwen3_moe", &got, &reference("qwen3_moe"), 1e-4);
}
