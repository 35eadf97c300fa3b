//! A NaN or an infinity ends the step where it is made, if the guard looks there.

use autopipe_runtime::{Error, Guard};
use autopipe_schedule::Kind;

use crate::faulty::{Effect, Fault, Work, bench, usual};
use crate::net::{batch, grads};

/// A step in which a stage's work brings what no training can go on with: what is told, and whether
/// every gradient is a number.
fn step(guard: Guard, fault: Fault) -> (Result<f64, String>, bool) {
    let ranks = bench(&usual(Kind::OneFOneB), guard, |bench| {
        bench.switch.set(Some(fault));
        let loss = bench.worker.step(&batch(4)).map(|output| output.loss());
        let grads = grads(bench.worker.stages().map(|(_, parameters)| parameters));
        let is_sound = grads.values().flatten().all(|number| number.is_finite());
        Ok::<_, Error>((loss, is_sound))
    });
    let ranks = ranks.unwrap();
    let is_sound = ranks.iter().all(|(_, is_sound)| *is_sound);
    let own = |result: &Result<f64, Error>| matches!(result, Ok(_) | Err(Error::Action { .. }));
    let (told, _) = ranks.into_iter().find(|(result, _)| own(result)).unwrap();
    (told.map_err(|error| error.to_string()), is_sound)
}

fn fault(work: Work, stage: usize, factor: f64) -> Fault {
    Fault { work, stage, microbatch: 1, effect: Effect::Times(factor) }
}

#[test]
fn without_a_guard_it_goes_on() {
    let (loss, is_sound) = step(Guard::Off, fault(Work::Forward, 0, f64::NAN));
    assert!(loss.unwrap().is_nan() && !is_sound);
}

#[test]
fn a_loss_is_looked_at_before_its_backward() {
    for (factor, shown) in [(f64::NAN, "NaN"), (1e300, "inf")] {
        let (told, is_sound) = step(Guard::Loss, fault(Work::Forward, 1, factor));
        assert_eq!(
            told.unwrap_err(),
            format!(
                "pipeline step 0, action 1F1: the loss of microbatch 1 is {shown}; lower the \
                 learning rate or look at the data of this step (Guard::All names the action that \
                 made the first such number)"
            )
        );
        assert!(is_sound, "no gradient has it");
    }
    // It sees neither what another stage makes of its own, nor a backward.
    let (loss, is_sound) = step(Guard::Loss, fault(Work::InputGrad, 1, f64::NAN));
    assert!(loss.unwrap().is_finite() && !is_sound);
}

#[test]
fn what_stages_make_is_looked_at_where_they_make_it() {
    let told = |work, stage, factor| step(Guard::All, fault(work, stage, factor)).0;
    assert_eq!(
        told(Work::Forward, 0, f64::NAN).unwrap_err(),
        "pipeline step 0, action 0F1: output 0 of stage 0 for microbatch 1 has 4 NaNs and 0 \
         infinities among 4 numbers"
    );
    assert_eq!(
        told(Work::Forward, 0, f64::INFINITY).unwrap_err(),
        "pipeline step 0, action 0F1: output 0 of stage 0 for microbatch 1 has 0 NaNs and 4 \
         infinities among 4 numbers"
    );
    assert_eq!(
        told(Work::InputGrad, 1, f64::NAN).unwrap_err(),
        "pipeline step 0, action 1B1: input gradient 0 of stage 1 for microbatch 1 has 4 \
         NaNs and 0 infinities among 4 numbers"
    );
    // Large is not infinite, even where the sum would be.
    assert!(told(Work::Forward, 0, 1e306).is_ok());
    // The outputs are numbers and the square of one is not.
    let loss = told(Work::Forward, 1, 1e300).unwrap_err();
    assert!(loss.contains("1F1: the loss of microbatch 1 is inf"), "{loss}");
}
