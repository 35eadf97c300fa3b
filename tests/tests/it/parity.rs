//! Losses and gradients of a pipelined Llama equal the unsplit model's and transformers'.

use autopipe::schedule::{Kind, csv};
use autopipe::{AutoPipeline, Outputs, PipelineConfig, StepOptions};
use autopipe_models::from_config;
use candle_core::{Device, Tensor};
use serde_json::json;

use crate::pipeline::{
    Outcome, assert_same, llama, on_ranks_with, pipelined, pipelined_with, reference_batch, unsplit,
};
use crate::reference::Reference;

/// Keeps the logits on the rank that has them.
const KEEP: StepOptions =
    StepOptions { outputs: Outputs::Keep, measure: false, more_to_come: false };

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
    Reference::named("llama").outcome()
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

/// The others have two stages a rank or split backwards.
#[test]
fn every_other_schedule_by_its_name_does_too() {
    let (model, batch) = (llama(), reference_batch());
    for kind in Kind::ALL {
        let split = pipelined(&*model, &config(kind.name(), 4, 1), 2, &batch);
        assert_same(&split, &reference(), 1e-5, 1e-4);
    }
}

/// Two ranks with two stages each; four microbatches. Interleaved with whole and with split
/// backwards, and in V placement, where rank 0 owns the last stage.
const TABLES: [&str; 3] = [
    "0F0,0F1,2F0,2F1,0F2,2B0,0F3,2B1,2F2,0B0,2F3,0B1,2B2,2B3,0B2,0B3\n\
     1F0,1F1,3F0,3B0,3F1,3B1,1F2,1F3,1B0,3F2,1B1,3B2,3F3,3B3,1B2,1B3\n",
    "0F0,0F1,2F0,2F1,0F2,2I0,2W0,0F3,2I1,2F2,0I0,2F3,0I1,2I2,2W1,2I3,0W0,0I2,0I3,0W1,2W2,2W3,0W2,0W3\n\
     1F0,1F1,3F0,3I0,3F1,3W0,3I1,1F2,1F3,1I0,3F2,1I1,3I2,3W1,3F3,3I3,1W0,1I2,1I3,1W1,3W2,3W3,1W2,1W3\n",
    "0F0,0F1,3F0,3I0,0F2,3W0,3F1,3B1,0F3,0B0,3F2,3B2,0B1,3F3,3B3,0B2,0B3\n\
     1F0,2F0,1F1,2F1,2I0,1I0,1F2,2F2,2W0,1W0,2B1,1B1,1F3,2F3,2B2,1B2,2B3,1B3\n",
];

#[test]
fn schedules_from_tables_with_several_stages_on_a_rank_do_too() {
    let (model, batch) = (llama(), reference_batch());
    for text in TABLES {
        let table = csv::read_plan(text.as_bytes()).unwrap();
        let split = pipelined_with(&*model, &config("1f1b", 4, 1), Some(&table), 2, &batch);
        assert_same(&split, &reference(), 1e-5, 1e-4);
    }
}

#[test]
fn evaluation_in_v_placement_has_its_logits_on_the_rank_of_the_last_stage() {
    let (model, batch) = (llama(), reference_batch());
    let table = csv::read_plan(TABLES[2].as_bytes()).unwrap();
    let body = |pipeline: &mut AutoPipeline| {
        let info = pipeline.info();
        Ok((info, pipeline.eval_with(&batch, KEEP)?))
    };
    let ranks = on_ranks_with(&*model, &config("1f1b", 4, 1), Some(&table), 2, body).unwrap();
    let [(first, with_logits), (second, without)] = &ranks[..] else { unreachable!("two ranks") };
    assert_eq!((first.stages.as_slice(), second.stages.as_slice()), (&[0, 3][..], &[1, 2][..]));
    assert!(first.has_first_stage && first.has_last_stage);
    assert!(!second.has_first_stage && !second.has_last_stage);
    assert_eq!(with_logits.losses, without.losses);
    assert!((with_logits.loss() - reference().loss).abs() < 1e-5 * reference().loss);
    assert_eq!(with_logits.outputs.as_ref().map(Vec::len), Some(4));
    assert!(without.outputs.is_none());
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
        Ok(pipeline.eval_with(&batch, KEEP)?.outputs)
    })
    .unwrap();
    assert!(ranks[0].is_none() && ranks[1].is_none());
    let logits: Vec<Tensor> = ranks[2].iter().flatten().map(|outputs| outputs[0].clone()).collect();
    let logits = Tensor::cat(&logits, 0).unwrap();
    assert!(crate::pipeline::relative_l2(&logits, &Reference::named("llama").logits()) < 1e-5);
}
