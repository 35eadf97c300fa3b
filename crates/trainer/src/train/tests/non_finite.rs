//! Numbers that are none: the run ends, passes the step over, or goes on more slowly, and says where.

use std::fs;

use candle_core::{DType, Device, Tensor};

use super::{Desk, one_thread};
use crate::Event;

/// A model of which one weight is an infinity, in its last layer.
fn broken() -> Desk {
    let desk = Desk::new();
    let mut tensors = desk.tensors("base/model.safetensors");
    let norm = tensors.get_mut("model.norm.weight").unwrap();
    let mut values = norm.to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
    values[3] = f32::INFINITY;
    *norm = Tensor::new(values, &Device::Cpu).unwrap();
    fs::remove_file(desk.path("base/model.safetensors")).unwrap();
    let path = desk.path("base/model.safetensors");
    safetensors::serialize_to_file(tensors, None, &path).unwrap();
    desk
}

#[test]
fn a_loss_that_is_none_ends_the_run_and_names_its_place() {
    let (_, finished) = broken().events(&[], &one_thread());
    let error = finished.unwrap_err().to_string();
    assert!(error.contains("the loss is NaN (step 1, rank 1, stage 1)"), "{error}");
    assert!(error.contains("set `optimizer.on_non_finite`"), "{error}");
}

#[test]
fn steps_are_passed_over_until_they_are_too_many() {
    let overrides = [
        "optimizer={lr: 0.02, on_non_finite: skip, max_skipped_steps: 3}",
        "step_scheduler.ckpt_every_steps=none",
    ];
    let (events, finished) = broken().events(&overrides, &one_thread());
    let skipped = |event: &&Event| matches!(event, Event::Skipped { .. });
    assert_eq!(events.iter().filter(skipped).count(), 2);
    let error = finished.unwrap_err().to_string();
    assert!(error.contains("3 steps in a row have changed nothing"), "{error}");
}

#[test]
fn the_rate_is_lowered_and_stays_so() {
    let overrides = ["optimizer={lr: 0.02, on_non_finite: lower_lr}"];
    let (events, finished) = broken().events(&overrides, &one_thread());
    finished.unwrap();
    let rates: Vec<f64> = events
        .iter()
        .filter_map(|event| match event {
            Event::Step(record) => Some(record.lr),
            _ => None,
        })
        .collect();
    assert_eq!(rates, [0.02, 0.01, 0.005, 0.0025]);
}

#[test]
fn what_was_being_saved_is_saved_when_the_run_ends() {
    let desk = Desk::new();
    // So high a rate that numbers run away within some steps.
    let overrides = [
        "optimizer={name: sgd, lr: 1e30}",
        "clip_grad_norm.max_norm=none",
        "step_scheduler={global_batch_size: 4, local_batch_size: 4, max_steps: 50, \
         ckpt_every_steps: 1}",
        "checkpoint.keep=none",
    ];
    let (events, finished) = desk.events(&overrides, &one_thread());
    assert!(finished.unwrap_err().to_string().contains("step "));
    let taken = events.iter().filter(|event| matches!(event, Event::Step(_))).count();
    let run = crate::RunDir::at(desk.path("run"));
    assert!(taken > 0);
    assert_eq!(run.latest().unwrap().unwrap().step, taken, "the step before it");
}
