//! A fault at every action of a schedule: it ends the step on every rank with the same words, and
//! the same pipeline then computes what a fresh one computes.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use autopipe_runtime::{Error, Failure, Guard, Place, Programs, Recovered, StepPart};
use autopipe_schedule::{Action, Kind, Rank};

use crate::faulty::{Bench, Effect, Fault, Mode, bench, usual, works};
use crate::net::{batch, grads};

/// What a rank has after a step.
type Outcome = (Vec<f64>, BTreeMap<String, Vec<f64>>);

/// Ends a test that hangs; none takes nearly as long.
#[expect(clippy::panic, reason = "a test that hangs has failed")]
pub(crate) fn without_hanging(test: impl FnOnce() + Send + 'static) {
    let (done, is_done) = channel();
    let test = std::thread::spawn(move || {
        test();
        drop(done);
    });
    match is_done.recv_timeout(Duration::from_secs(60)) {
        Ok(()) | Err(RecvTimeoutError::Disconnected) => test.join().unwrap(),
        Err(RecvTimeoutError::Timeout) => panic!("some rank waits for ever"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Step,
    Eval,
}

fn held(bench: &Bench) -> BTreeMap<String, Vec<f64>> {
    grads(bench.worker.stages().map(|(_, parameters)| parameters))
}

fn call(bench: &mut Bench, call: Call) -> Result<Outcome, Error> {
    bench.rewind();
    let output = match call {
        Call::Step => bench.worker.step(&batch(5))?,
        Call::Eval => bench.worker.eval(&batch(5))?,
    };
    Ok((output.losses, held(bench)))
}

/// Without the gradients that a step is compared by.
fn begin(bench: &Bench, what: Call) {
    if what == Call::Step {
        bench.worker.stages().for_each(|(_, parameters)| parameters.zero_grad());
    }
}

/// The failure as both the rank that failed and the others tell it.
#[expect(clippy::panic, reason = "the test has failed")]
pub(crate) fn failure_of(error: &Error) -> (bool, Failure) {
    match error {
        Error::Stopped { failure, at } => {
            assert!(at.is_some(), "what it was at: {error}");
            (false, failure.clone())
        }
        Error::Action { rank, at, source } => {
            (true, Failure { rank: *rank, at: Some(*at), cause: source.to_string() })
        }
        other => panic!("not the failure of a step: {other}"),
    }
}

/// Each fault of each rank in the stages, and the action in which it shows.
fn faults(programs: &Programs, what: Call) -> Vec<(usize, Action, Fault)> {
    let program = match what {
        Call::Step => &programs.train,
        Call::Eval => &programs.eval,
    };
    let mut faults = Vec::new();
    for rank in 0..program.num_ranks() {
        for &action in program.row(Rank::new(rank)) {
            for (work, stage, microbatch) in works(action) {
                for effect in [Effect::Error, Effect::Panic] {
                    faults.push((rank, action, Fault { work, stage, microbatch, effect }));
                }
            }
        }
    }
    faults
}

/// Puts each fault into one and the same pipeline, one after the other.
fn break_stages(kind: Kind, what: Call) {
    let programs = usual(kind);
    let faults = faults(&programs, what);
    assert!(faults.len() >= 2 * 4 * 4, "every forward is there");
    let ranks = bench(&programs, Guard::Loss, |bench| {
        let own = bench.worker.communicator().rank();
        call(bench, Call::Step)?; // what an evaluation must leave alone
        begin(bench, what);
        let fresh = call(bench, what)?;
        for (number, &(rank, action, fault)) in faults.iter().enumerate() {
            begin(bench, what);
            bench.switch.set((rank == own).then_some(fault));
            let (is_own, failure) = failure_of(&call(bench, what).unwrap_err());
            assert_eq!((is_own, failure.rank), (own == rank, rank), "{fault:?}");
            let at = Place { step: 2 + 2 * number, part: StepPart::Action(action) };
            assert_eq!(failure.at, Some(at), "{fault:?}: {failure}");
            let panics = fault.effect == Effect::Panic;
            assert_eq!(failure.cause, if panics { "panicked: gone mad" } else { "out of order" });

            let refused = call(bench, what).unwrap_err();
            assert!(matches!(refused, Error::Unusable(_)), "{refused}");
            bench.switch.set(None);
            let expected = match what {
                Call::Step => Recovered::GradientsCleared,
                Call::Eval => Recovered::GradientsKept,
            };
            assert_eq!(bench.worker.recover()?, expected);
            assert_eq!(call(bench, what)?, fresh, "after {fault:?} in {action}");
        }
        Ok(())
    });
    ranks.map(drop).unwrap();
}

#[test]
fn every_action_of_a_v_schedule() {
    without_hanging(|| break_stages(Kind::ZbvZeroBubble, Call::Step));
    without_hanging(|| break_stages(Kind::ZbvZeroBubble, Call::Eval));
}

#[test]
fn every_action_of_an_interleaved_schedule() {
    without_hanging(|| break_stages(Kind::InterleavedOneFOneB, Call::Step));
    without_hanging(|| break_stages(Kind::InterleavedOneFOneB, Call::Eval));
}

#[test]
fn every_action_of_a_schedule_that_overlaps() {
    without_hanging(|| break_stages(Kind::DualPipeV, Call::Step));
}

/// Lets each call of each rank's communicator go wrong.
fn break_communicators(kind: Kind, what: Call, mode: Mode) {
    let programs = usual(kind);
    let ranks = bench(&programs, Guard::Loss, |bench| {
        let own = bench.worker.communicator().rank();
        call(bench, Call::Step)?;
        begin(bench, what);
        let fresh = call(bench, what)?;
        let num_calls = bench.calls.number().to_string();
        let num_calls = bench.worker.communicator().all_gather_text(&num_calls)?;
        let mut seen = Vec::new();
        for (rank, num_calls) in num_calls.into_iter().enumerate() {
            for number in 0..num_calls.parse().unwrap() {
                begin(bench, what);
                bench.calls.fail((rank == own).then_some((number, mode)));
                let error = match call(bench, what) {
                    // What was reported as broken was done: the other rank had all it needed, and
                    // learns of the failure at the next step.
                    Ok(_) if mode == Mode::After && rank != own => call(bench, what).unwrap_err(),
                    result => result.map(drop).unwrap_err(),
                };
                bench.calls.fail(None);
                let (is_own, failure) = failure_of(&error);
                assert_eq!((is_own, failure.rank), (own == rank, rank), "call {number}: {failure}");
                assert_eq!(
                    failure.cause,
                    match mode {
                        Mode::Error | Mode::After => "the transport failed: the cable is cut",
                        Mode::Panic => "panicked: the driver has gone mad",
                    }
                );
                let at = failure.at.unwrap();
                let recovered = bench.worker.recover()?;
                let is_spoilt =
                    what == Call::Step && (at.part != StepPart::Start || mode == Mode::After);
                assert_eq!(recovered == Recovered::GradientsCleared, is_spoilt, "{failure}");
                begin(bench, what);
                assert_eq!(call(bench, what)?, fresh, "after {failure}");
                if is_own {
                    seen.push(at.part);
                }
            }
        }
        Ok(seen)
    });
    for (rank, seen) in ranks.unwrap().into_iter().enumerate() {
        let program = match what {
            Call::Step => &programs.train,
            Call::Eval => &programs.eval,
        };
        // The first stage and the last of a V are on one rank, which tells nobody of their sum.
        let is_far = kind != Kind::ZbvZeroBubble;
        let talks = |action: &Action| match action {
            Action::Send(_) | Action::Recv(_) => true,
            Action::ReduceTied { .. } => is_far,
            _ => false,
        };
        let row = program.row(Rank::new(rank)).iter().copied().filter(talks);
        let around = [StepPart::Start, StepPart::Losses];
        for part in row.map(StepPart::Action).chain(around) {
            assert!(seen.contains(&part), "no fault in {part} of rank {rank}");
        }
    }
}

#[test]
fn every_call_of_a_communicator_in_a_v_schedule() {
    for mode in [Mode::Error, Mode::Panic, Mode::After] {
        without_hanging(move || break_communicators(Kind::ZbvZeroBubble, Call::Step, mode));
        without_hanging(move || break_communicators(Kind::ZbvZeroBubble, Call::Eval, mode));
    }
}

#[test]
fn every_call_of_a_communicator_in_an_interleaved_schedule() {
    for mode in [Mode::Error, Mode::Panic, Mode::After] {
        without_hanging(move || break_communicators(Kind::InterleavedOneFOneB, Call::Step, mode));
        without_hanging(move || break_communicators(Kind::InterleavedOneFOneB, Call::Eval, mode));
    }
}
