//! A step that one rank cannot take is taken by none, and all say why.

use autopipe_runtime::{Batch, Error, Outputs, RankError, StepOptions, Worker};
use autopipe_schedule::Kind;

use crate::net::{Block, batch, grads, named, run};

/// What every rank of two says to `ask`, and that none has done anything: a step after it brings the
/// gradients of one step.
#[track_caller]
fn refusals(ask: impl Fn(&mut Worker, usize) -> Result<(), Error> + Sync) -> Vec<Error> {
    let step = |worker: &mut Worker| {
        let loss = worker.step(&batch(3))?.loss();
        Ok((loss, grads(worker.stages().map(|(_, parameters)| parameters))))
    };
    let make = |_, layers| Block::new(layers, true);
    let plan = named(Kind::OneFOneB, 2, 3);
    let fresh = run(&plan, 4, make, step).unwrap();
    let ranks: Result<_, RankError<Error>> = run(&plan, 4, make, |worker| {
        let rank = worker.communicator().rank();
        let refusal = ask(worker, rank).unwrap_err();
        Ok((refusal, step(worker)?))
    });
    let (refusals, after): (Vec<_>, Vec<_>) = ranks.unwrap().into_iter().unzip();
    assert_eq!(after, fresh);
    refusals
}

#[track_caller]
fn assert_all_say(refusals: &[Error], words: &str) {
    assert_eq!(refusals.len(), 2);
    for refusal in refusals {
        assert_eq!(refusal.to_string(), words);
    }
}

#[test]
fn a_missing_target_is_told_on_all_ranks() {
    let refusals = refusals(|worker, _| worker.step(&Batch { target: None, ..batch(3) }).map(drop));
    assert_all_say(
        &refusals,
        "the step is refused by rank 1: the batch has no target, which the loss on this rank needs",
    );
    let own = refusals.iter().map(|refusal| match refusal {
        Error::Refused { own, .. } => own.is_some(),
        _ => panic!("{refusal}"),
    });
    assert_eq!(own.collect::<Vec<_>>(), [false, true], "whose batch it is has the typed reason");
}

#[test]
fn each_reason_is_told_once() {
    let too_few = "input 0 has 2 samples along dimension 0, but the schedule has 3 microbatches \
                   and each needs one; target has 2 samples along dimension 0, but the schedule \
                   has 3 microbatches and each needs one";
    assert_all_say(
        &refusals(|worker, _| worker.step(&batch(2)).map(drop)),
        &format!("the step is refused by ranks 0, 1: {too_few}"),
    );
    assert_all_say(
        &refusals(|worker, rank| {
            let batch = if rank == 0 { batch(2) } else { Batch { target: None, ..batch(3) } };
            worker.eval(&batch).map(drop)
        }),
        &format!(
            "the step is refused by rank 0: {too_few}; rank 1: the batch has no target, which the \
             loss on this rank needs"
        ),
    );
}

#[test]
fn different_calls_are_told_apart() {
    assert_all_say(
        &refusals(|worker, rank| match rank {
            0 => worker.step(&batch(3)).map(drop),
            _ => worker.eval(&batch(3)).map(drop),
        }),
        "the ranks are asked for different steps, rank 0 for training; rank 1 for evaluation; make \
         the same call on all",
    );
    assert_all_say(
        &refusals(|worker, rank| match rank {
            0 => worker
                .step_with(&batch(3), StepOptions { measure: true, ..StepOptions::default() })
                .map(drop),
            _ => worker
                .eval_with(
                    &batch(2),
                    StepOptions { outputs: Outputs::Keep, ..StepOptions::default() },
                )
                .map(drop),
        }),
        "the ranks are asked for different steps, rank 0 for training, measured; rank 1 for \
         evaluation with outputs; make the same call on all",
    );
    assert_all_say(
        &refusals(|worker, rank| match rank {
            0 => worker.step(&batch(3).with_seed(1 << 40)).map(drop),
            _ => worker.step(&batch(3).with_seed((1 << 40) + 1).with_share(0.5)).map(drop),
        }),
        "the ranks are asked for different steps, rank 0 for training, seed 1099511627776; rank 1 \
         for training, a share of 0.5, seed 1099511627777; make the same call on all",
    );
}
