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
