//! What a run's steps become on a terminal.

use super::*;

fn record(step: usize, seconds: f64) -> StepRecord {
    StepRecord {
        step,
        epoch: 0.5,
        loss: 2.5,
        grad_norm: 1.0,
        lr: 1e-3,
        tokens: 100,
        num_tokens: 100,
        seconds,
        model_flops: 1e9,
        peak_flops: None,
        measured_bubble: None,
        memory_bytes: Vec::new(),
        skipped: None,
    }
}

#[test]
fn the_bar_follows_the_steps() {
    let mut state = State { bar: Some(bar(4)), num_steps: 4, ..State::default() };
    state.step(&record(3, 0.5));
    let bar = state.bar.unwrap();
    assert_eq!((bar.position(), bar.length()), (3, Some(4)));
    assert_eq!(bar.message(), "loss 2.500  grad norm 1.00  lr 1.00e-3  200 tokens/s  2 GFLOP/s");
}

#[test]
fn throughput_is_smoothed_over_the_steps() {
    let mut state = State { bar: Some(bar(2)), num_steps: 2, ..State::default() };
    state.step(&record(1, 1.0));
    state.step(&record(2, 0.5));
    assert_eq!(state.tokens_per_second, Some(110.0));
}

#[test]
fn a_step_is_told_with_what_is_known_of_it() {
    let full = StepRecord {
        peak_flops: Some(4e9),
        measured_bubble: Some(0.125),
        memory_bytes: vec![1_000_000, 2_500_000],
        skipped: Some("a gradient is not finite".to_owned()),
        ..record(1, 0.5)
    };
    assert_eq!(
        figures(&full, 200.0),
        "loss 2.500  grad norm 1.00  lr 1.00e-3  200 tokens/s  MFU 50.0%  bubble 12.5%  2.50 MB"
    );
    let nothing = StepRecord { model_flops: 0.0, ..record(1, 0.5) };
    assert_eq!(figures(&nothing, 200.0), "loss 2.500  grad norm 1.00  lr 1.00e-3  200 tokens/s");
    let in_no_time = record(1, 0.0);
    assert!(figures(&in_no_time, f64::INFINITY).ends_with("  inf tokens/s"));
}

#[test]
fn time_left_is_told_from_the_second_step_on() {
    let mut state = State { num_steps: 5, ..State::default() };
    assert_eq!(state.time_left(1), None);
    state.pace(&record(1, 60.0));
    assert_eq!(state.time_left(1), None, "the first step warms up");
    state.pace(&record(2, 2.0));
    state.pace(&record(3, 4.0));
    assert_eq!(state.time_left(3), Some(Duration::from_secs(6)));
    assert_eq!(state.time_left(5), None);
}
