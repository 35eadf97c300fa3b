//! The rates as tables, and what makes no schedule.

use super::*;

/// The rates of all steps, in units of a hundredth, rounded.
fn table(decay: Decay, num_warmup_steps: usize, num_steps: usize) -> Vec<f64> {
    let schedule = LrSchedule::new(0.08, decay, num_warmup_steps, num_steps).unwrap();
    (1..=num_steps).map(|step| (schedule.at(step) * 1e6).round() / 1e4).collect()
}

#[test]
fn constant() {
    assert_eq!(table(Decay::Constant, 0, 3), [8.0, 8.0, 8.0]);
    assert_eq!(table(Decay::Constant, 4, 6), [2.0, 4.0, 6.0, 8.0, 8.0, 8.0]);
}

#[test]
fn linear() {
    assert_eq!(table(Decay::Linear { min_lr: 0.0 }, 0, 4), [6.0, 4.0, 2.0, 0.0]);
    assert_eq!(
        table(Decay::Linear { min_lr: 0.02 }, 2, 8),
        [4.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]
    );
}

#[test]
fn cosine() {
    // 2 + 6 * (1 + cos(k * 45 degrees)) / 2 for k = 0 to 4
    assert_eq!(table(Decay::Cosine { min_lr: 0.02 }, 2, 6), [4.0, 8.0, 7.1213, 5.0, 2.8787, 2.0]);
    assert_eq!(table(Decay::Cosine { min_lr: 0.0 }, 0, 2), [4.0, 0.0]);
}

#[test]
fn a_run_that_is_all_warm_up() {
    assert_eq!(table(Decay::Cosine { min_lr: 0.0 }, 4, 4), [2.0, 4.0, 6.0, 8.0]);
    assert_eq!(table(Decay::Linear { min_lr: 0.0 }, 1, 1), [8.0]);
}

#[test]
fn full_rate_and_lowest_rate_are_met_exactly() {
    for decay in [Decay::Linear { min_lr: 1.7e-5 }, Decay::Cosine { min_lr: 1.7e-5 }] {
        let schedule = LrSchedule::new(3.1e-4, decay, 7, 1000).unwrap();
        assert_eq!(schedule.at(7), 3.1e-4);
        assert_eq!(schedule.at(1000), 1.7e-5);
        assert_eq!(schedule.at(usize::MAX), 1.7e-5, "after the last step");
    }
}

#[test]
fn after_the_warm_up_the_rate_never_rises() {
    for decay in [Decay::Constant, Decay::Linear { min_lr: 1e-5 }, Decay::Cosine { min_lr: 1e-5 }] {
        let schedule = LrSchedule::new(1e-3, decay, 10, 200).unwrap();
        for step in 1..10 {
            assert!(schedule.at(step) < schedule.at(step + 1), "{decay:?}, step {step}");
        }
        for step in 10..200 {
            assert!(schedule.at(step) >= schedule.at(step + 1), "{decay:?}, step {step}");
        }
    }
}

fn refusal(lr: f64, decay: Decay, num_warmup_steps: usize, num_steps: usize) -> String {
    LrSchedule::new(lr, decay, num_warmup_steps, num_steps).unwrap_err().to_string()
}

#[test]
fn every_problem_is_reported() {
    assert_eq!(
        refusal(0.0, Decay::Linear { min_lr: -1.0 }, 20, 10),
        "the learning rate is 0, it has to be a finite number above 0; \
         `min_lr` is -1, it has to lie between 0 and the learning rate 0; \
         20 warm-up steps are more than the 10 steps of the run; shorten the warm-up or train longer"
    );
    assert_eq!(
        refusal(1e-3, Decay::Cosine { min_lr: 1e-2 }, 5, 0),
        "`min_lr` is 0.01, it has to lie between 0 and the learning rate 0.001; \
         a schedule of 0 steps has no learning rate, the fewest is 1"
    );
}

#[test]
fn numbers_that_are_none() {
    for lr in [f64::NAN, f64::INFINITY, -1e-3] {
        let expected = format!("the learning rate is {lr}, it has to be a finite number above 0");
        assert_eq!(
            refusal(lr, Decay::Cosine { min_lr: 1e-5 }, 0, 1),
            expected,
            "min_lr itself is fine"
        );
    }
    for min_lr in [f64::NAN, f64::INFINITY] {
        assert!(refusal(1e-3, Decay::Linear { min_lr }, 0, 1).starts_with("`min_lr` is "));
    }
}

#[test]
fn warm_up_stable_decay() {
    let wsd = |style| {
        let decay = Decay::Wsd { min_lr: 0.02, num_decay_steps: 4, style };
        table(decay, 2, 8)
    };
    assert_eq!(wsd(WsdDecayStyle::Linear), [4.0, 8.0, 8.0, 8.0, 6.5, 5.0, 3.5, 2.0]);
    assert_eq!(wsd(WsdDecayStyle::Cosine), [4.0, 8.0, 8.0, 8.0, 7.1213, 5.0, 2.8787, 2.0]);
    assert_eq!(wsd(WsdDecayStyle::MinusSqrt), [4.0, 8.0, 8.0, 8.0, 5.0, 3.7574, 2.8038, 2.0]);
    // 2 + 6 * (2 * 0.5^(k / 4) - 1)
    assert_eq!(wsd(WsdDecayStyle::Exponential), [4.0, 8.0, 8.0, 8.0, 6.0908, 4.4853, 3.1352, 2.0]);
}

#[test]
fn a_warm_up_may_begin_above_0() {
    let schedule = LrSchedule::new(0.08, Decay::Constant, 4, 8).unwrap();
    let schedule = schedule.with_init_lr(0.04).unwrap();
    assert_eq!([1, 2, 3, 4, 5].map(|step| schedule.at(step)), [0.05, 0.06, 0.07, 0.08, 0.08]);
    let error = schedule.with_init_lr(0.09).unwrap_err().to_string();
    assert_eq!(error, "`init_lr` is 0.09, it has to lie between 0 and the learning rate 0.08");
}

#[test]
fn a_decay_has_to_fit() {
    let decay = Decay::Wsd { min_lr: 0.0, num_decay_steps: 7, style: WsdDecayStyle::Linear };
    let error = LrSchedule::new(0.1, decay, 2, 8).unwrap_err().to_string();
    assert!(error.starts_with("a decay of 7 steps does not fit between a warm-up of 2"), "{error}");
}
