//! What a step does with stages in parts, besides a forward and a backward of the whole.

use autopipe_models::{Lora, Options, Recompute, from_config, from_config_with};
use autopipe_runtime::{Keywords, StageModel};
use candle_core::Tensor;
use serde_json::json;

use super::{Batch, FLOAT32, Weights, batch, build, config, joined, loss_of, run};
use crate::fixture::{flat, modules};
use crate::threads::ranks;

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
