//! Evaluations: the same under every placement, and the best is kept.

use std::fs;

use super::{Desk, losses_of, one_thread};
use crate::{EvalRecord, Event, RunDir};

const VALIDATION: &str = "validation_dataset={paths: [DIR/validation.txt]}";

fn evaluations(events: &[Event]) -> Vec<EvalRecord> {
    let record = |event: &Event| match event {
        Event::Evaluated(record) => Some(*record),
        _ => None,
    };
    events.iter().filter_map(record).collect()
}

fn desk() -> Desk {
    let desk = Desk::new();
    fs::write(desk.path("validation.txt"), "a lazy fox and a quick dog. ".repeat(9)).unwrap();
    desk
}

#[test]
fn every_schedule_comes_to_the_same_evaluation() {
    let desk = desk();
    let run = |pipeline: &str| {
        let overrides = [
            VALIDATION,
            "step_scheduler.val_every_steps=2",
            "step_scheduler.ckpt_every_steps=none",
            "checkpoint.enabled=false",
            pipeline,
        ];
        let (events, finished) = desk.events(&overrides, &one_thread());
        finished.unwrap();
        evaluations(&events)
    };
    let expected = run("distributed.pipeline={pp_schedule: gpipe}");
    assert_eq!(expected.iter().map(|record| record.step).collect::<Vec<_>>(), [2, 4]);
    // 252 bytes with their separator make 15 rows of 16 labels.
    assert_eq!(expected[0].tokens, 15 * 16);
    for name in ["zbvzerobubble", "dualpipev"] {
        let found = run(&format!("distributed.pipeline={{pp_schedule: {name}}}"));
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found.loss - expected.loss).abs() < 1e-5, "{name}: {found:?}, {expected:?}");
            assert_eq!(found.tokens, expected.tokens);
        }
    }
}

#[test]
fn the_best_checkpoint_stays_and_few_others() {
    let desk = desk();
    let overrides = [
        VALIDATION,
        "step_scheduler={global_batch_size: 4, local_batch_size: 4, max_steps: 8, \
         ckpt_every_steps: 1, val_every_steps: 2}",
        // After a while it forgets again.
        "lr_scheduler={lr_decay_style: linear}",
        "optimizer.lr=0.3",
        "checkpoint.keep=2",
    ];
    let (events, finished) = desk.events(&overrides, &one_thread());
    finished.unwrap();
    let all = evaluations(&events);
    let best = all.iter().min_by(|a, b| a.loss.total_cmp(&b.loss)).unwrap();
    let run = RunDir::at(desk.path("run"));
    assert_eq!(run.best().unwrap().unwrap().step, best.step);
    assert_eq!(run.latest().unwrap().unwrap().step, 8);
    let steps: Vec<usize> = run.all_checkpoints().unwrap().iter().map(|c| c.step).collect();
    let mut expected = vec![7, 8];
    if best.step < 7 {
        expected.insert(0, best.step);
    }
    assert_eq!(steps, expected);
}

#[test]
fn a_model_is_evaluated_without_training() {
    let desk = desk();
    let overrides = [
        VALIDATION,
        "step_scheduler={global_batch_size: 4, local_batch_size: 4, max_steps: 0}",
        "optimizer=none",
        "checkpoint.enabled=false",
    ];
    let (events, finished) = desk.events(&overrides, &one_thread());
    let finished = finished.unwrap();
    assert!(losses_of(&events).is_empty());
    let record = evaluations(&events)[0];
    assert_eq!((record.step, finished.loss), (0, record.loss));
    assert_eq!(record.perplexity(), record.loss.exp());
}

#[test]
fn evaluations_may_have_rows_of_another_length() {
    let desk = desk();
    let rows = "validation_dataset={paths: [DIR/validation.txt], seq_len: 8}";
    let overrides = [rows, "step_scheduler.val_every_steps=2", "checkpoint.enabled=false"];
    let (events, finished) = desk.events(&overrides, &one_thread());
    finished.unwrap();
    let tokens: Vec<usize> = evaluations(&events).iter().map(|record| record.tokens).collect();
    assert_eq!(tokens, [31 * 8, 31 * 8], "and the steps between have their own");
}

#[test]
fn an_evaluation_that_fails_loses_nothing_of_what_was_learnt() {
    let desk = desk();
    fs::write(desk.path("bad.jsonl"), "{\"text\": \"a fox\"}\n{\"text\": 1}\n").unwrap();
    let bad = "validation_dataset={paths: [DIR/bad.jsonl]}";
    for replicas in ["distributed.dp_replicate_size=1", "distributed.dp_replicate_size=2"] {
        let run = "checkpoint.checkpoint_dir=DIR/run-";
        let dir = format!("{run}{}", &replicas[replicas.len() - 1..]);
        let (_, finished) = desk.events(&[bad, replicas, &dir], &one_thread());
        let error = finished.unwrap_err().to_string();
        assert!(error.contains("bad.jsonl:2:1: "), "{replicas}: {error}");
        let run = RunDir::at(desk.path(&dir.replace("checkpoint.checkpoint_dir=DIR/", "")));
        assert_eq!(run.latest().unwrap().unwrap().step, 4, "{replicas}");
    }
}

#[test]
fn a_best_that_is_gone_is_none_and_another_run_s_is_not_this_one_s() {
    let desk = desk();
    let steps = "step_scheduler={global_batch_size: 4, local_batch_size: 4, max_steps: 4, \
                 ckpt_every_steps: 1, val_every_steps: 1}";
    let overrides = [VALIDATION, steps, "checkpoint.keep=2"];
    let (_, finished) = desk.events(&overrides, &one_thread());
    finished.unwrap();
    let run = RunDir::at(desk.path("run"));
    // Gone on with in another folder, the first evaluation there is the best so far.
    let longer = steps.replace("max_steps: 4", "max_steps: 5");
    let from = format!("checkpoint.restore_from={}", run.latest().unwrap().unwrap().path.display());
    let other = [VALIDATION, &longer, &from, "checkpoint.checkpoint_dir=DIR/other"];
    desk.events(&other, &one_thread()).1.unwrap();
    assert_eq!(RunDir::at(desk.path("other")).best().unwrap().unwrap().step, 5);
    run.set_best(3).unwrap();
    fs::remove_dir_all(run.checkpoint(3).path).unwrap();
    assert_eq!(run.best().unwrap(), None);
    run.prune(1).unwrap();
}

#[test]
fn what_an_evaluation_leaves_out_is_told() {
    let desk = desk();
    fs::write(desk.path("bad.jsonl"), "{\"text\": \"a fox\"}\n{\"text\": 1}\n").unwrap();
    let bad = "validation_dataset={paths: [DIR/bad.jsonl], on_error: skip}";
    let (events, finished) = desk.events(&[bad, "checkpoint.enabled=false"], &one_thread());
    finished.unwrap();
    let told = events.iter().any(|event| match event {
        Event::Skipped { step: 4, what, reason } => {
            what == "1 sample of the validation data" && reason.starts_with("1 cannot be read")
        }
        _ => false,
    });
    assert!(told, "{events:?}");
}
