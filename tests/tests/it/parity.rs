//! Losses and gradients of a pipelined Llama equal the unsplit model's and transformers'.

use autopipe::PipelineConfig;
use autopipe_models::from_config;
use candle_core::{Device, Tensor};
use serde_json::json;

use crate::pipeline::{
    Outcome, assert_same, fixture, llama, pipelined, reference_batch, tensors, unsplit,
};

fn config(schedule: &str, batch_size: usize, microbatch_size: usize) -> PipelineConfig {
    PipelineConfig {
        pp_schedule: Some(schedule.to_owned()),
        pp_batch_size: batch_size,
        pp_microbatch_size: microbatch_size,
        ..PipelineConfig::default()
    }
}

/// What transformers computed.
fn reference() -> Outcome {
    let text = std::fs::read_to_string(fixture("reference.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    Outcome { loss: json["loss"].as_f64().unwrap(), grads: tensors("grads.safetensors") }
}

#[test]
fn the_unsplit_model_equals_transformers() {
    assert_same(&unsplit(&*llama(), &reference_batch()).unwrap(), &reference(), 1e-5, 1e-4);
}

#[test]
fn every_split_and_schedule_equals_transformers_and_the_unsplit_model() {
    let (model, batch) = (llama(), reference_batch());
    let whole = unsplit(&*model, &batch).unwrap();
    for schedule in ["gpipe", "1f1b"] {
        for num_ranks in 1..=4 {
            let split = pipelined(&*model, &config(schedule, 4, 1), num_ranks, &batch);
            assert_same(&split, &reference(), 1e-5, 1e-4);
            assert_same(&split, &whole, 1e-5, 1e-5);
        }
    }
}

#[test]
fn microbatches_of_more_than_one_sequence_do_too() {
    let (model, batch) = (llama(), reference_batch());
    assert_same(&pipelined(&*model, &config("1f1b", 4, 2), 2, &batch), &reference(), 1e-5, 1e-4);
}

#[test]
fn uneven_layer_counts_and_biases() {
    let json = json!({
        "model_type": "llama", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 5, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 64, "attention_bias": true, "mlp_bias": true,
    });
    let model = from_config(&json, 7).unwrap().into_model();
    let ids = |seed: u32| {
        let ids = (0..6 * 9).map(|i: u32| i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 26);
        Tensor::from_iter(ids, &Device::Cpu).unwrap().reshape((6, 9)).unwrap()
    };
    let batch = autopipe::Batch::new(ids(0), ids(99)).with_loss_scale(1.0 / 54.0);
    let whole = unsplit(&*model, &batch).unwrap();
    for schedule in ["gpipe", "1f1b"] {
        for num_ranks in 2..=4 {
            assert_same(
                &pipelined(&*model, &config(schedule, 6, 1), num_ranks, &batch),
                &whole,
                1e-5,
                1e-5,
            );
        }
    }
    // Cut by hand, the heavy end first.
    let layers = |range: std::ops::Range<usize>| range.map(|i| format!("model.layers.{i}"));
    let mut first: Vec<String> = vec!["model.embed_tokens".to_owned()];
    first.extend(layers(0..4));
    let mut last: Vec<String> = layers(4..5).collect();
    last.extend(["model.norm".to_owned(), "lm_head".to_owned()]);
    let by_hand = PipelineConfig {
        module_fqns_per_model_part: Some(vec![first, last]),
        ..config("1f1b", 6, 2)
    };
    assert_same(&pipelined(&*model, &by_hand, 2, &batch), &whole, 1e-5, 1e-5);
}

#[test]
fn scaling_in_the_schedule_divides_by_the_microbatches_of_the_step_only() {
    let (model, batch) = (llama(), reference_batch());
    let config = PipelineConfig { scale_grads_in_schedule: true, ..config("1f1b", 4, 1) };
    let ranks = crate::pipeline::on_ranks(&*model, &config, 2, |pipeline| {
        pipeline.step(&batch)?;
        pipeline.step(&batch)?; // the second step leaves the first one's gradients alone
        crate::pipeline::gradients(pipeline.parts()?)
    })
    .unwrap();
    let halved =
        reference().grads.into_iter().map(|(name, grad)| (name, (grad * 0.5).unwrap())).collect();
    let got = Outcome { loss: 1.0, grads: ranks.into_iter().flatten().collect() };
    assert_same(&got, &Outcome { loss: 1.0, grads: halved }, 0.0, 1e-4);
}

#[test]
fn logits_come_from_the_last_stage() {
    let (model, batch) = (llama(), reference_batch());
    let ranks = crate::pipeline::on_ranks(&*model, &config("1f1b", 4, 1), 3, |pipeline| {
        Ok(pipeline.eval_with_outputs(&batch)?.outputs)
    })
    .unwrap();
    assert!(ranks[0].is_none() && ranks[1].is_none());
    let logits: Vec<Tensor> = ranks[2].iter().flatten().map(|outputs| outputs[0].clone()).collect();
    let logits = Tensor::cat(&logits, 0).unwrap();
    assert!(crate::pipeline::relative_l2(&logits, &tensors("logits.safetensors")["logits"]) < 1e-5);
}
