//! Pipelines that train side by side learn what one does: over every schedule, in every arrangement of
//! the data, evaluated and gone on with on other numbers of them.

use super::equal::write_records;
use super::resume::{assert_equal, stopped_after};
use super::{Desk, ONE_RANK, losses_of, one_thread, resumed, train};
use crate::{Event, StepRecord};

const TWENTY: &str = "step_scheduler={global_batch_size: 16, local_batch_size: 4, max_steps: 20, \
                      val_every_steps: 10}";

fn records(events: &[Event]) -> Vec<&StepRecord> {
    let steps = events.iter().filter_map(|event| match event {
        Event::Step(record) => Some(record),
        _ => None,
    });
    steps.collect()
}

fn evaluations(events: &[Event]) -> Vec<(f64, usize)> {
    let evaluations = events.iter().filter_map(|event| match event {
        Event::Evaluated(record) => Some((record.loss, record.tokens)),
        _ => None,
    });
    evaluations.collect()
}

fn run(desk: &Desk, overrides: &[&str]) -> Vec<Event> {
    let common = [
        TWENTY,
        "dataset={paths: [DIR/records.jsonl], seq_len: 32}",
        "validation_dataset={paths: [DIR/records.jsonl]}",
        "optimizer={lr: 0.005}",
        "checkpoint.enabled=false",
    ];
    let (events, finished) = desk.events(&[&common, overrides].concat(), &one_thread());
    finished.unwrap();
    events
}

#[test]
fn twenty_steps_on_two_to_four_pipelines() {
    let desk = Desk::new();
    write_records(&desk);
    let pipeline =
        |name: &str| format!("distributed.pipeline={{pp_schedule: {name}, pp_microbatch_size: 1}}");
    let split = "distributed.split=even:0,0";
    for (arrange, ways) in [
        // Accumulated over two steps, over one; without a pipeline; and summed after each microbatch:
        // replicas, then what is shared out, then both; and ranks with parts of each matrix, alone and
        // beside all of them.
        (
            "pad",
            &[
                ([2, 1, 1], "1f1b", true),
                ([4, 1, 1], "zbvzerobubble", true),
                ([4, 1, 1], "", true),
                ([1, 2, 1], "1f1b", true),
                ([1, 2, 1], "interleaved1f1b", false),
                ([2, 2, 1], "zbvzerobubble", true),
                ([1, 1, 2], "zbvzerobubble", true),
                ([1, 2, 2], "1f1b", true),
                ([1, 2, 2], "zbvzerobubble", true),
                ([2, 1, 2], "", true),
            ][..],
        ),
        (
            "pack",
            &[
                ([2, 1, 1], "interleaved1f1b", true),
                ([2, 1, 1], "zbvzerobubble", false),
                ([2, 1, 1], "1f1b", false),
                ([1, 2, 1], "zbvzerobubble", true),
                ([1, 4, 1], "", true),
                ([2, 2, 1], "1f1b", false),
                ([1, 1, 2], "1f1b", true),
                ([1, 1, 2], "interleaved1f1b", true),
                ([2, 1, 2], "interleaved1f1b", false),
            ],
        ),
    ] {
        let arrange = format!("dataset.arrange={arrange}");
        let alone = run(&desk, &[&[arrange.as_str()], &ONE_RANK[..]].concat());
        for &([replicate, shard, tensor], schedule, defers) in ways {
            let pipeline = pipeline(schedule);
            let replicas = format!("distributed.dp_replicate_size={replicate}");
            let pipelines = format!("distributed.dp_size={}", replicate * shard);
            let defers = format!("distributed.defer_fsdp_grad_sync={defers}");
            let tensor = format!("distributed.tp_size={tensor}");
            let mut overrides = vec![arrange.as_str(), &replicas, &pipelines, &tensor];
            if replicate * shard > 1 {
                overrides.push(&defers);
            }
            if schedule.is_empty() {
                overrides.extend(ONE_RANK);
            } else {
                overrides.extend([split, &pipeline]);
            }
            let events = run(&desk, &overrides);
            let (found, expected) = (records(&events), records(&alone));
            assert_eq!(found.len(), 20);
            for (found, expected) in found.iter().zip(expected) {
                let near = |a: f64, b: f64| (a - b).abs() < 1e-5 * b.abs().max(1.0);
                assert!(near(found.loss, expected.loss), "{overrides:?}: {found:?} {expected:?}");
                assert!(near(found.grad_norm, expected.grad_norm), "{overrides:?}: {found:?}");
                assert_eq!(found.tokens, expected.tokens, "{overrides:?}");
                assert_eq!((found.num_tokens, found.epoch), (expected.num_tokens, expected.epoch));
            }
            for (found, expected) in evaluations(&events).iter().zip(evaluations(&alone)) {
                assert!((found.0 - expected.0).abs() < 1e-5, "{overrides:?}: {found:?}");
                assert_eq!(found.1, expected.1);
            }
            assert_eq!(evaluations(&events).len(), 2);
        }
    }
}

#[test]
fn sums_after_each_microbatch_are_other_sums() {
    let desk = Desk::new();
    for shard in [1, 2] {
        let sizes = format!("distributed.dp_replicate_size={}", 2 / shard);
        let pipelines = "distributed.dp_size=2";
        let run = |defers: bool| {
            let defers = format!("distributed.defer_fsdp_grad_sync={defers}");
            desk.losses(&[&sizes, pipelines, &defers, "step_scheduler.local_batch_size=4"])
        };
        let [once, each] = [true, false].map(run);
        assert_equal(&each, &once);
        assert_ne!(each, once, "the same numbers are added in another order");
    }
}

const RECIPE_PIPELINE: &str = "distributed.pipeline={pp_schedule: 1f1b, pp_microbatch_size: 1}";

#[test]
fn a_run_goes_on_with_more_pipelines_and_with_fewer() {
    const EIGHT: &str = "step_scheduler={global_batch_size: 8, local_batch_size: 2, max_steps: 8}";
    let two = ["distributed={pp_size: 2, strategy: ddp, dp_size: 2}", RECIPE_PIPELINE];
    let four = ["distributed.dp_replicate_size=4", ONE_RANK[0], ONE_RANK[1]];
    let shared = ["distributed={pp_size: 2, dp_size: 2}", RECIPE_PIPELINE];
    let both = ["distributed={pp_size: 1, dp_size: 4, dp_replicate_size: 2}"];
    let cut = ["distributed={pp_size: 2, dp_size: 2, tp_size: 2}", RECIPE_PIPELINE];
    // The last number: how many files of weights the second leaves.
    let ways: [([&[&str]; 2], usize); 8] = [
        ([&[], &two], 2),
        ([&two, &[]], 2),
        ([&two, &four], 1),
        ([&two, &shared], 4),
        ([&shared, &both], 2),
        ([&both, &[]], 2),
        ([&shared, &cut], 8),
        ([&cut, &[]], 2),
    ];
    for ([first, then], num_files) in ways {
        let desk = Desk::new();
        let whole = desk.losses(&[EIGHT]);
        let begun = stopped_after(&desk, &[&[EIGHT], first].concat(), 5);
        assert_equal(&begun, &whole[..5]);
        let (events, finished) = desk.events(&[&[EIGHT], then].concat(), &resumed());
        finished.unwrap();
        assert_equal(&losses_of(&events), &whole[5..]);
        let saved = std::fs::read_dir(desk.path("run/checkpoints/step-000008")).unwrap();
        let names = saved.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let num_weights = names.filter(|name| name.ends_with(".safetensors")).count();
        assert_eq!(num_weights, num_files, "one set of parameters is written");
    }
}

#[test]
fn what_is_shared_out_is_of_any_kind() {
    const EIGHT: &str = "step_scheduler={global_batch_size: 8, local_batch_size: 2, max_steps: 8}";
    let tied = "model={config: {model_type: llama, vocab_size: 256, hidden_size: 16, \
                intermediate_size: 32, num_hidden_layers: 4, num_attention_heads: 2, \
                max_position_embeddings: 32, tie_word_embeddings: true}}";
    let lora = "peft={target_modules: [q_proj, mlp.*], dim: 4, alpha: 8, merge: true}";
    let settings: [&[&str]; 4] = [
        &[tied],
        &["optimizer={lr: 0.02}", lora],
        &["optimizer={name: lion, lr: 0.001}", "model.freeze=[model.embed_tokens, model.layers.0]"],
        &["optimizer={lr: 0.002}", "model.dtype=bfloat16", "clip_grad_norm.norm_type=inf"],
    ];
    let shared = ["distributed={pp_size: 2, dp_size: 4, dp_replicate_size: 2}", RECIPE_PIPELINE];
    let cut = ["distributed={pp_size: 2, dp_size: 2, tp_size: 2}", RECIPE_PIPELINE];
    let ways = settings.iter().flat_map(|setting| [(setting, &shared), (setting, &cut)]);
    for (&setting, way) in ways {
        let desk = Desk::new();
        let whole = desk.losses(&[&[EIGHT], setting].concat());
        let first = [&[EIGHT], setting, &way[..]].concat();
        // What is of half precision is summed in another order.
        let near = |found: &[f64], expected: &[f64]| {
            let bound = if setting.contains(&"model.dtype=bfloat16") { 5e-3 } else { 1e-5 };
            assert_eq!(found.len(), expected.len());
            let pairs = found.iter().zip(expected);
            assert!(
                pairs.into_iter().all(|(a, b)| (a - b).abs() < bound),
                "{setting:?}: {found:?}"
            );
        };
        near(&stopped_after(&desk, &first, 5), &whole[..5]);
        let (events, finished) = desk.events(&[&[EIGHT], setting].concat(), &resumed());
        finished.unwrap();
        near(&losses_of(&events), &whole[5..]);
        let again = Desk::new();
        stopped_after(&again, &[&[EIGHT], setting].concat(), 3);
        let (events, finished) = again.events(&first, &resumed());
        finished.unwrap();
        near(&losses_of(&events), &whole[3..]);
        assert!(again.path("run/checkpoints/step-000008/config.json").exists(), "{setting:?}");
    }
}

#[test]
fn a_record_that_cannot_be_read_ends_all_pipelines_and_what_was_saved_stays() {
    let desk = Desk::new();
    write_records(&desk);
    let mut text = std::fs::read_to_string(desk.path("records.jsonl")).unwrap();
    text.push_str("{\"prompt\": 1}\n");
    std::fs::write(desk.path("records.jsonl"), text).unwrap();
    let overrides = [
        "step_scheduler={global_batch_size: 4, local_batch_size: 2, max_steps: 50, ckpt_every_steps: 1}",
        "dataset={paths: [DIR/records.jsonl], seq_len: 32}",
        "distributed.dp_replicate_size=2",
    ];
    let (events, finished) = desk.events(&overrides, &one_thread());
    let error = finished.unwrap_err().to_string();
    assert!(error.contains("records.jsonl:41:1: "), "{error}");
    let latest = crate::RunDir::at(desk.path("run")).latest().unwrap();
    assert_eq!(latest.map_or(0, |checkpoint| checkpoint.step), records(&events).len());
}

#[test]
fn what_does_not_go_together() {
    let desk = Desk::new();
    let sizes = "distributed={pp_size: 1, dp_size: 4, dp_replicate_size: 3}";
    let refused = desk.refused(&[sizes, "step_scheduler.local_batch_size=2"]);
    let expected = "distributed.dp_size: 4 ranks cannot share out 3 copies evenly";
    assert!(refused.len() == 1 && refused[0].contains(expected), "{refused:?}");
    let refused = desk.refused(&["distributed={pp_size: 1, tp_size: 3}"]);
    let expected =
        "each rank has whole heads, and `num_attention_heads` is 2; the numbers that do are 1, 2";
    assert!(refused.len() == 1, "{refused:?}");
    let error =
        train(&desk.recipe(&["distributed={pp_size: 1, tp_size: 3}"]), &one_thread(), &|_| {});
    let error = error.unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    let sizes = "distributed={pp_size: 1, strategy: ddp, dp_size: 4, dp_replicate_size: 2}";
    let refused = desk.refused(&[sizes, "step_scheduler.local_batch_size=2"]);
    let expected =
        "dp_replicate_size: 2 copies, and with `strategy: ddp` all 4 data-parallel ranks";
    assert!(refused.len() == 1 && refused[0].contains(expected), "{refused:?}");
}
