//! A run that has ended early goes on as if it had not.

use std::fs;
use std::sync::Mutex;

use super::{
    Desk, Finished, ONE_RANK, TrainError, TrainOptions, losses_of, one_thread, resumed, train,
};
use crate::{Event, RunDir, Stop};

const EIGHT: &str = "step_scheduler={global_batch_size: 8, local_batch_size: 4, max_steps: 8, \
                     ckpt_every_steps: 3}";

/// Ends a run after a step, by the way that Ctrl-C does.
pub(super) fn stopped_after(desk: &Desk, overrides: &[&str], last: usize) -> Vec<f64> {
    let stop = Stop::default();
    let options = TrainOptions { stop: stop.clone(), ..one_thread() };
    let told = Mutex::new(Vec::new());
    let finished = train(&desk.recipe(overrides), &options, &|event| {
        // A step is told of when the next has not begun: that one is the last.
        if matches!(&event, Event::Step(record) if record.step + 1 == last) {
            stop.request();
        }
        told.lock().unwrap().push(event);
    });
    assert!(finished.unwrap().is_stopped);
    losses_of(&told.into_inner().unwrap())
}

#[track_caller]
pub(super) fn assert_equal(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{found:?} for {expected:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
    }
}

#[test]
fn with_other_stages_schedules_and_ranks() {
    let zbv = ["distributed.pipeline={pp_schedule: zbvzerobubble}"];
    let three = ["distributed.pp_size=3", "distributed.pipeline={pp_schedule: gpipe}"];
    let ways: [&[&str]; 4] = [&[], &ONE_RANK, &zbv, &three];
    for (number, way) in ways.iter().enumerate() {
        let desk = Desk::new();
        let whole = desk.losses(&[EIGHT]);
        let begun = stopped_after(&desk, &[EIGHT], 5);
        assert_eq!(begun, whole[..5]);
        let (events, finished) = desk.events(&[&[EIGHT], *way].concat(), &resumed());
        finished.unwrap();
        assert_equal(&losses_of(&events), &whole[5..]);
        if number == 0 {
            assert_eq!(losses_of(&events), whole[5..], "the same bits");
        }
        let metrics = fs::read_to_string(desk.path("run/metrics.jsonl")).unwrap();
        assert_eq!(metrics.lines().count(), 8, "every step once");
    }
}

#[test]
fn with_every_optimiser_in_half_precision_and_with_adapters() {
    let lora = "peft={target_modules: [q_proj, mlp.*], dim: 4, alpha: 8, dropout: 0.2}";
    let settings: [&[&str]; 4] = [
        &["optimizer={lr: 0.02}", "model.dtype=bfloat16"],
        &["optimizer={name: sgd, lr: 0.1, momentum: 0.9, nesterov: true}"],
        &["optimizer={name: lion, lr: 0.001}", "model.dtype=bfloat16"],
        &["optimizer={lr: 0.02}", lora],
    ];
    for setting in settings {
        let desk = Desk::new();
        let overrides = [&[EIGHT], setting].concat();
        let whole = desk.losses(&overrides);
        assert_eq!(stopped_after(&desk, &overrides, 4), whole[..4], "{setting:?}");
        let (events, finished) = desk.events(&overrides, &resumed());
        finished.unwrap();
        assert_eq!(losses_of(&events), whole[4..], "{setting:?}");
    }
}

#[test]
fn with_tied_weights_on_two_stages_and_on_one() {
    let tied = "model={config: {model_type: llama, vocab_size: 256, hidden_size: 16, \
                intermediate_size: 32, num_hidden_layers: 4, num_attention_heads: 2, \
                max_position_embeddings: 32, tie_word_embeddings: true}}";
    for way in [&[][..], &ONE_RANK] {
        let desk = Desk::new();
        let whole = desk.losses(&[EIGHT, tied]);
        assert_eq!(stopped_after(&desk, &[EIGHT, tied], 5), whole[..5]);
        let (events, finished) = desk.events(&[&[EIGHT, tied], way].concat(), &resumed());
        finished.unwrap();
        assert_equal(&losses_of(&events), &whole[5..]);
    }
}

#[test]
fn from_another_run_and_with_nothing_to_go_on_from() {
    let desk = Desk::new();
    let whole = desk.losses(&[EIGHT]);
    // Nothing is there yet: it begins.
    let (events, finished) = desk.events(&[EIGHT], &resumed());
    finished.unwrap();
    assert_eq!(losses_of(&events), whole);
    let other = [EIGHT, "checkpoint.checkpoint_dir=DIR/other"];
    let from = "checkpoint.restore_from=DIR/run/checkpoints/step-000006";
    let (events, finished) = desk.events(&[&other[..], &[from]].concat(), &one_thread());
    finished.unwrap();
    assert_eq!(losses_of(&events), whole[6..]);
    // A run that is over has nothing left to do.
    let (events, finished) = desk.events(&[EIGHT], &resumed());
    assert_eq!((losses_of(&events).len(), finished.unwrap().num_steps), (0, 0));
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_lost() {
    let desk = Desk::new();
    desk.run(&[]);
    let refused = |overrides: &[&str]| match train(&desk.recipe(overrides), &resumed(), &|_| {}) {
        Err(error) => error.to_string(),
        Ok(finished) => panic!("{finished:?}"),
    };
    let error = refused(&["model={config: {model_type: llama, vocab_size: 256, hidden_size: 16, \
                           intermediate_size: 48, num_hidden_layers: 4, num_attention_heads: 2, \
                           max_position_embeddings: 32}}"]);
    let expected = "`model.layers.0.mlp.gate_proj.weight` has shape [32, 16] instead of [48, 16]";
    assert!(error.contains("is not the recipe's: ") && error.contains(expected), "{error}");
    let error = refused(&["optimizer.name=lion"]);
    assert!(error.contains("was trained with adamw, and the recipe says lion"), "{error}");
    let error =
        refused(&["dataset={sources: [{paths: [DIR/text.txt]}, {paths: [DIR/text.txt]}], \
                           seq_len: 16}"]);
    assert!(error.contains("source"), "{error}");
    let state = desk.path("run/checkpoints/step-000004/training/state.json");
    fs::write(&state, "{\"version\": 7}").unwrap();
    assert!(refused(&[]).contains("is of version 7, and this program reads version 1"));
    fs::write(&state, "{\"version\": 1").unwrap();
    assert!(refused(&[]).contains("state.json` is damaged: "));
    fs::remove_dir_all(desk.path("run/checkpoints/step-000004/training")).unwrap();
    assert!(refused(&[]).contains("has no training state to go on from"));
    assert_eq!(RunDir::at(desk.path("run")).latest().unwrap().unwrap().step, 4);
}

/// A run in which the folder goes away where the checkpoint after a step is written.
fn without_checkpoint(desk: &Desk, lost: usize) -> (Vec<Event>, Result<Finished, TrainError>) {
    let told = Mutex::new(Vec::new());
    let finished = train(&desk.recipe(&[EIGHT]), &one_thread(), &|event| {
        if matches!(&event, Event::Saving { step, .. } if *step == lost) {
            let folder = desk.path(&format!("run/checkpoints/step-{lost:06}.partial"));
            // It is being written in, so that it may have a file again.
            while folder.exists() {
                let _ = fs::remove_dir_all(&folder);
            }
        }
        told.lock().unwrap().push(event);
    });
    (told.into_inner().unwrap(), finished)
}

#[test]
fn a_checkpoint_that_cannot_be_written_is_told_of_and_left_out() {
    let desk = Desk::new();
    let (events, finished) = without_checkpoint(&desk, 3);
    finished.unwrap();
    assert_eq!(losses_of(&events).len(), 8);
    let skipped: Vec<usize> = events
        .iter()
        .filter_map(|event| match event {
            Event::Skipped { step, what, .. } if what.starts_with("the checkpoint") => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(skipped, [3]);
    let run = RunDir::at(desk.path("run"));
    let steps: Vec<usize> = run.all_checkpoints().unwrap().iter().map(|c| c.step).collect();
    assert_eq!(steps, [6, 8]);
}

#[test]
fn the_last_checkpoint_has_to_be_written() {
    let desk = Desk::new();
    let (_, finished) = without_checkpoint(&desk, 8);
    let error = finished.unwrap_err().to_string();
    assert!(error.contains("cannot write the checkpoint after step 8: "), "{error}");
    assert_eq!(RunDir::at(desk.path("run")).latest().unwrap().unwrap().step, 6);
}

#[test]
fn other_data_have_no_place_to_go_on_from() {
    let desk = Desk::new();
    stopped_after(&desk, &[EIGHT], 4);
    let text = fs::read_to_string(desk.path("text.txt")).unwrap();
    fs::write(desk.path("text.txt"), format!("{text}and there is more of it now")).unwrap();
    let (_, finished) = desk.events(&[EIGHT], &resumed());
    let error = finished.unwrap_err().to_string();
    assert!(error.contains("an epoch of source 1 had "), "{error}");
    assert_eq!(RunDir::at(desk.path("run")).latest().unwrap().unwrap().step, 4);
}

#[test]
fn another_order_has_no_place_to_go_on_from() {
    let desk = Desk::new();
    stopped_after(&desk, &[EIGHT], 4);
    let (_, finished) = desk.events(&[EIGHT, "rng.seed=7", "dataset.shuffle=false"], &resumed());
    let error = finished.unwrap_err().to_string();
    let expected =
        "`dataset.shuffle` was true when the checkpoint was taken, and is false, `rng.seed` was";
    assert!(error.starts_with(expected) && error.contains("and is 7: rows come in"), "{error}");
    // How it is written is no difference.
    let (events, finished) = desk.events(&[EIGHT, "dataset.arrange=stream"], &resumed());
    finished.unwrap();
    assert_eq!(losses_of(&events).len(), 4);
}
