//! What a run's steps become on a terminal.

use super::*;

#[test]
fn the_bar_follows_the_steps() {
    let mut state = State { bar: Some(bar(4)), num_steps: 4, ..State::default() };
    let record =
        StepRecord { step: 3, loss: 2.5, grad_norm: 1.0, lr: 1e-3, tokens: 100, seconds: 0.5 };
    state.step(&record);
    let bar = state.bar.unwrap();
    assert_eq!((bar.position(), bar.length()), (3, Some(4)));
    assert_eq!(bar.message(), "loss 2.500  200 tokens/s");
}

#[test]
fn throughput_is_smoothed_over_the_steps() {
    let mut state = State { bar: Some(bar(2)), num_steps: 2, ..State::default() };
    let record =
        StepRecord { step: 1, loss: 2.5, grad_norm: 1.0, lr: 1e-3, tokens: 100, seconds: 1.0 };
    state.step(&record);
    state.step(&StepRecord { step: 2, seconds: 0.5, ..record });
    assert_eq!(state.tokens_per_second, Some(110.0));
}
