//! A stage that fails ends the step on every rank, with rank, step, action and cause.

use std::time::{Duration, Instant};

use autopipe_runtime::{Cause, Error};
use autopipe_schedule::Kind;

use crate::net::{Block, Fail, batch, named, run};

/// A three-rank 1F1B step in which one stage fails at its first forward.
#[expect(clippy::disallowed_methods, reason = "a rank that hangs would be seen on a clock only")]
fn failing(stage: usize, fail: Fail) -> autopipe_runtime::RankError<Error> {
    let start = Instant::now();
    let make = |id, layers| {
        let block = Block::new(layers, true);
        if id == stage { block.failing(fail) } else { block }
    };
    let error =
        run(&named(Kind::OneFOneB, 3, 4), 6, make, |worker| worker.step(&batch(4)).map(drop))
            .unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2), "every rank has to end within two seconds");
    error
}

#[test]
fn an_error_of_a_stage_names_rank_step_action_and_cause() {
    for stage in 0..3 {
        let error = failing(stage, Fail::Error);
        assert_eq!(error.rank, stage);
        let text = error.to_string();
        assert!(
            text.starts_with(&format!(
                "rank {stage} failed: rank {stage}, step 0, action {stage}F0: the stage is broken"
            )),
            "{text}"
        );
    }
}

#[test]
fn a_panic_of_a_stage_does_too() {
    for stage in 0..3 {
        let text = failing(stage, Fail::Panic).to_string();
        assert!(
            text.contains(&format!("action {stage}F0: panicked: the stage has gone mad")),
            "{text}"
        );
    }
}

#[test]
fn a_failed_pipeline_refuses_further_steps() {
    let make = |id, layers| {
        let block = Block::new(layers, true);
        if id == 1 { block.failing(Fail::Error) } else { block }
    };
    let refusals = run(&named(Kind::GPipe, 2, 2), 4, make, |worker| {
        let _ = worker.step(&batch(2)).unwrap_err();
        // The error ends here: the rank goes on as if nothing had happened.
        Ok(worker.step(&batch(2)).unwrap_err().to_string())
    })
    .unwrap();
    for refusal in refusals {
        assert!(
            refusal.starts_with("a former step failed (")
                && refusal.contains("1F0: the stage is broken"),
            "{refusal}"
        );
    }
}

#[test]
fn a_batch_that_does_not_fit_is_refused_and_nothing_is_lost() {
    let ranks = run(
        &named(Kind::GPipe, 2, 3),
        4,
        |_, layers| Block::new(layers, true),
        |worker| {
            let refused = worker.step(&batch(2)).unwrap_err();
            assert!(refused.to_string().contains("3 microbatches"), "{refused}");
            worker.step(&batch(3)).map(|output| output.loss())
        },
    )
    .unwrap();
    assert!(ranks.iter().all(|loss| loss.is_finite()));
}

#[test]
fn a_missing_target_is_named_where_the_last_stage_is() {
    let error = run(
        &named(Kind::OneFOneB, 2, 2),
        4,
        |_, layers| Block::new(layers, true),
        |worker| {
            let mut batch = batch(2);
            batch.target = None;
            worker.step(&batch).map(drop)
        },
    )
    .unwrap_err();
    assert_eq!(error.rank, 1);
    assert!(matches!(&*error.cause, Cause::Error(Error::Action { rank: 1, .. })), "{error}");
    assert!(error.to_string().contains("1F0: the batch has no target"), "{error}");
}
