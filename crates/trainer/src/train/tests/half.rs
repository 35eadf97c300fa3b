//! Half precision with master weights learns what float32 learns.

use super::Desk;

/// Rounded activations and gradients, float32 sums and weights: the losses stay within a hundredth of
/// the first.
#[test]
fn losses_in_bfloat16_are_those_of_float32() {
    let desk = Desk::new();
    let run = |dtype: &str| {
        let dtype = format!("model.dtype={dtype}");
        let (losses, _) = desk.run(&[
            &dtype,
            "step_scheduler.max_steps=60",
            "step_scheduler.ckpt_every_steps=60",
            "optimizer.lr=0.005",
            "checkpoint.enabled=false",
        ]);
        losses
    };
    let (expected, losses) = (run("float32"), run("bfloat16"));
    assert!(expected[59] < 0.5 * expected[0], "it learns: {} to {}", expected[0], expected[59]);
    for (step, (loss, expected)) in losses.iter().zip(&expected).enumerate() {
        let apart = (loss - expected).abs() / losses[0];
        assert!(apart < 1e-2, "step {step}: {loss} and in float32 {expected}");
    }
    assert_ne!(losses, expected);
}
