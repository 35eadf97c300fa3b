//! A stage that fails ends the step on every rank, with rank, step, action and cause.

use std::time::{Duration, Instant};

use autopipe_runtime::ThreadOptions;
use autopipe_schedule::{Kind, Plan, csv};

use crate::net::{Block, Fail, batch, named, run, run_with};

/// A step of `plan` over three ranks in which one stage fails: what is reported.
#[expect(clippy::disallowed_methods, reason = "a rank that hangs would be seen on a clock only")]
fn failing(plan: &Plan, stage: usize, fail: Fail) -> String {
    let start = Instant::now();
    let make = |id, layers| {
        let block = Block::new(layers, true);
        if id == stage { block.failing(fail) } else { block }
    };
    let error =
        run(plan, 6, make, |worker| worker.step(&batch(4)).map(drop)).map(drop).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2), "every rank has to end within two seconds");
    assert_eq!(error.rank, stage);
    error.to_string()
}

#[track_caller]
fn assert_fails(plan: &Plan, fail: Fail, op: &str, cause: &str) {
    for stage in 0..3 {
        assert_eq!(
            failing(plan, stage, fail),
            format!("rank {stage} failed: pipeline step 0, action {stage}{op}: {cause}")
        );
    }
}

#[test]
fn a_stage_that_fails_names_rank_step_action_and_cause() {
    let plan = named(Kind::OneFOneB, 3, 4);
    assert_fails(&plan, Fail::Error, "F0", "the stage is broken");
    assert_fails(&plan, Fail::Panic, "F0", "panicked: the stage has gone mad");
    assert_fails(&plan, Fail::Input, "B0", "the gradient is lost");
    assert_fails(&plan, Fail::Weight, "B0", "the weight is stuck");
}

#[test]
fn a_split_backward_fails_where_it_is_computed() {
    let table = "0F0,0F1,0I0,0I1,0W0,0W1\n1F0,1F1,1I0,1W0,1I1,1W1\n2F0,2I0,2F1,2I1,2W0,2W1\n";
    let plan = csv::read_plan(table.as_bytes()).unwrap();
    assert_fails(&plan, Fail::Input, "I0", "the gradient is lost");
    assert_fails(&plan, Fail::Weight, "W0", "the weight is stuck");
}

#[test]
fn who_waits_too_long_says_for_what() {
    let options = ThreadOptions { timeout: Duration::from_millis(100), ..ThreadOptions::default() };
    let make = |id, layers| {
        let block = Block::new(layers, true);
        if id == 0 { block.failing(Fail::Late(Duration::from_millis(400))) } else { block }
    };
    let plan = named(Kind::GPipe, 2, 1);
    let error = run_with(&options, &plan, 2, make, |worker| worker.step(&batch(1)).map(drop))
        .map(drop)
        .unwrap_err();
    assert_eq!(error.rank, 1);
    let text = error.to_string();
    let expected = "rank 1 failed: pipeline step 0, action 1F0: waited 1";
    assert!(text.starts_with(expected) && text.contains("for 0SEND_F0 of rank 0"), "{text}");
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
fn what_a_rank_does_not_need_can_be_left_out() {
    let losses = run(
        &named(Kind::OneFOneB, 3, 3),
        4,
        |_, layers| Block::new(layers, true),
        |worker| {
            let mut batch = batch(3);
            if worker.communicator().rank() > 0 {
                batch.inputs.clear();
            }
            if worker.communicator().rank() < 2 {
                batch.target = None;
            }
            worker.step(&batch).map(|output| output.loss())
        },
    )
    .unwrap();
    assert!(losses.iter().all(|&loss| loss == losses[0] && loss > 0.0));
}
