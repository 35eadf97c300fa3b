//! What a split run learns is what the unsplit one does, step for step.

use super::{Desk, ONE_RANK, losses_of, one_thread};

/// Uneven labels: prompts of many lengths, of which nothing is learnt.
pub(super) fn write_records(desk: &Desk) {
    let record = |number: usize| {
        let prompt = "why ".repeat(1 + number % 5);
        let completion = "because ".repeat(1 + number % 3);
        format!("{{\"prompt\": \"{prompt}\", \"completion\": \"{completion}\"}}\n")
    };
    let text: String = (0..40).map(record).collect();
    std::fs::write(desk.path("records.jsonl"), text).unwrap();
}

fn fifty(desk: &Desk, overrides: &[&str]) -> Vec<f64> {
    let common = [
        "step_scheduler={global_batch_size: 8, local_batch_size: 4, max_steps: 50}",
        "dataset={paths: [DIR/records.jsonl], seq_len: 32}",
        "lr_scheduler={lr_decay_style: wsd, lr_warmup_steps: 5, wsd_decay_steps: 10}",
        "optimizer={lr: 0.005}",
        "checkpoint.enabled=false",
    ];
    let (events, finished) = desk.events(&[&common, overrides].concat(), &one_thread());
    finished.unwrap();
    losses_of(&events)
}

#[test]
fn fifty_steps_of_every_arrangement_and_optimiser() {
    let desk = Desk::new();
    write_records(&desk);
    let pipelines = [
        "distributed.pipeline={pp_schedule: 1f1b, pp_microbatch_size: 1}",
        "distributed.pipeline={pp_schedule: zbvzerobubble, pp_microbatch_size: 1}",
    ];
    let settings: [&[&str]; 3] = [
        &["dataset.arrange=pad"],
        &["dataset.arrange=pack", "optimizer.name=lion", "optimizer.lr=0.001"],
        &["dataset.arrange=stream", "optimizer={name: sgd, lr: 0.05, momentum: 0.9}"],
    ];
    for (setting, pipeline) in settings.iter().zip(pipelines.iter().cycle()) {
        let unsplit = fifty(&desk, &[setting, &ONE_RANK[..]].concat());
        let split =
            fifty(&desk, &[setting, &["distributed.split=even:0,0", pipeline][..]].concat());
        assert_eq!(split.len(), 50);
        assert!(split[49] < split[0], "{setting:?} learns nothing: {split:?}");
        for (step, (split, unsplit)) in split.iter().zip(&unsplit).enumerate() {
            let difference = (split - unsplit).abs();
            assert!(difference < 1e-5, "{setting:?}, step {step}: {split} for {unsplit}");
        }
    }
}
