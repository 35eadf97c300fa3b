//! Pipelined losses and gradients equal the unsplit network's, whatever the schedule.

use std::collections::BTreeMap;
use std::sync::Arc;

use autopipe_runtime::{Outputs, Programs, StepOptions, ThreadOptions};
use autopipe_schedule::lower::{Lowering, Receives, WaitSends, lower_with};
use autopipe_schedule::{
    Action, Compute, ComputeOp, Direction, Extent, Kind, Plan, Transfer, csv, generate, lower,
    validate,
};

use crate::net::{Block, Outcome, batch, grads, named, programs, run, run_programs, unsplit};

const NUM_LAYERS: usize = 7;

#[track_caller]
fn assert_close(got: &Outcome, expected: &Outcome) {
    compare("the table", got, expected);
}

#[track_caller]
pub(crate) fn compare(what: &str, got: &Outcome, expected: &Outcome) {
    let (loss, right) = (got.0, expected.0);
    assert!((loss - right).abs() <= 1e-12 * right.abs(), "{what}: loss {loss} for {right}");
    assert!(got.1.keys().eq(expected.1.keys()), "{what}: {:?}", got.1.keys());
    for (name, expected) in &expected.1 {
        let got = &got.1[name];
        let difference: f64 = got.iter().zip(expected).map(|(a, b)| (a - b).powi(2)).sum();
        let norm: f64 = expected.iter().map(|b| b * b).sum();
        assert!(norm > 0.0, "{name} has no gradient to compare with");
        assert!(
            difference.sqrt() <= 1e-12 * norm.sqrt(),
            "{what}: {name}: {got:?} for {expected:?}"
        );
    }
}

/// One step of `plan` on `rows` rows: the loss that every rank reports and all gradients.
fn pipelined(plan: &Plan, rows: usize) -> Outcome {
    lowered(&programs(plan), NUM_LAYERS, rows)
}

/// One step of programs on a network of so many layers.
fn lowered(programs: &Programs, num_layers: usize, rows: usize) -> Outcome {
    let ranks = run_programs(
        &ThreadOptions::default(),
        programs,
        num_layers,
        |_, layers| Block::new(layers, true),
        |worker| {
            let output = worker.step(&batch(rows))?;
            Ok((output.loss(), grads(worker.stages().map(|(_, parameters)| parameters))))
        },
    )
    .unwrap();
    let loss = ranks[0].0;
    assert!(ranks.iter().all(|rank| rank.0 == loss), "every rank reports the same loss");
    (loss, ranks.into_iter().flat_map(|rank| rank.1).collect())
}

#[test]
fn every_schedule_on_one_to_four_ranks() {
    const NUM_LAYERS: usize = 12; // for as many stages at most
    let expected = unsplit(NUM_LAYERS, &batch(8));
    for kind in Kind::ALL {
        for num_ranks in 1..=4 {
            for stages_per_rank in 1..=3 {
                for num_microbatches in [num_ranks, 8] {
                    let extent = Extent { num_ranks, stages_per_rank, num_microbatches };
                    let Ok(plan) = generate(kind, &extent) else { continue };
                    let got = lowered(&programs(&plan), NUM_LAYERS, 8);
                    compare(&format!("{kind} {extent:?}"), &got, &expected);
                }
            }
        }
    }
}

/// As torch lowers it: with waits for what was sent and late receives.
#[test]
fn every_order_of_sends_and_receives() {
    let expected = unsplit(NUM_LAYERS, &batch(8));
    for receives in [Receives::Early, Receives::Late] {
        for wait_sends in [WaitSends::Never, WaitSends::WhenTaken, WaitSends::AtMost(1)] {
            let lowering = Lowering { receives, wait_sends, ..Lowering::default() };
            for kind in [Kind::OneFOneB, Kind::InterleavedOneFOneB, Kind::ZbvZeroBubble] {
                let stages_per_rank = kind.stages_per_rank().usual();
                let extent = Extent { num_ranks: 2, stages_per_rank, num_microbatches: 4 };
                let plan = generate(kind, &extent).unwrap();
                let train = Arc::new(validate(lower_with(&plan, &lowering).unwrap()).unwrap());
                let programs = Programs { train, ..programs(&plan) };
                let got = lowered(&programs, NUM_LAYERS, 8);
                compare(&format!("{kind} {lowering:?}"), &got, &expected);
            }
        }
    }
}

#[test]
fn batches_that_microbatches_do_not_divide() {
    for rows in [5, 7, 11] {
        assert_close(
            &pipelined(&named(Kind::OneFOneB, 2, 4), rows),
            &unsplit(NUM_LAYERS, &batch(rows)),
        );
    }
}

fn table(text: &str) -> Plan {
    csv::read_plan(text.as_bytes()).unwrap()
}

#[test]
fn a_table_with_a_split_backward_and_late_weights() {
    let plan = table("0F0,0F1,0I0,0I1,0W1,0W0\n1F0,1I0,1F1,1I1,1W0,1W1\n");
    assert_close(&pipelined(&plan, 4), &unsplit(NUM_LAYERS, &batch(4)));
}

#[test]
fn a_table_in_v_placement_hands_over_on_one_rank() {
    // Rank 0 has the stages 0 and 3, rank 1 the neighbours 1 and 2.
    let plan = table(
        "0F0,0F1,3F0,3I0,3W0,3F1,3B1,0B0,0B1\n\
         1F0,2F0,1F1,2F1,2B0,1B0,2B1,1I1,1W1\n",
    );
    assert_close(&pipelined(&plan, 5), &unsplit(NUM_LAYERS, &batch(5)));
}

#[test]
fn a_table_of_interleaved_stages() {
    let plan = table(
        "0F0,0F1,2F0,2F1,2B0,2B1,0B0,0B1\n\
         1F0,1F1,3F0,3B0,3F1,3B1,1B0,1B1\n",
    );
    assert_close(&pipelined(&plan, 4), &unsplit(NUM_LAYERS, &batch(4)));
}

#[test]
fn a_table_that_overlaps_forwards_with_backwards() {
    let plan = table(
        "0F0,0F1,3F0,(0F2;3B0)OVERLAP_F_B,(3F1;0B0)OVERLAP_F_B,3B1,0B1,3F2,3B2,0B2\n\
         1F0,2F0,1F1,2F1,2B0,1B0,2B1,(1F2;1B1)OVERLAP_F_B,2F2,2B2,1B2\n",
    );
    assert_close(&pipelined(&plan, 6), &unsplit(NUM_LAYERS, &batch(6)));
}

#[test]
fn a_measured_step_computes_the_same_and_says_when() {
    let plan = named(Kind::OneFOneB, 3, 4);
    let program = validate(lower(&plan)).unwrap();
    let ranks = run(
        &plan,
        NUM_LAYERS,
        |_, layers| Block::new(layers, true),
        |worker| {
            let options = StepOptions { measure: true, ..StepOptions::default() };
            let output = worker.step_with(&batch(6), options)?;
            let timeline = output.timeline.clone().unwrap();
            Ok((output.loss(), grads(worker.stages().map(|(_, p)| p)), timeline))
        },
    )
    .unwrap();
    let outcome = (ranks[0].0, ranks.iter().flat_map(|rank| rank.1.clone()).collect());
    assert_close(&outcome, &unsplit(NUM_LAYERS, &batch(6)));
    let timeline = &ranks[0].2;
    assert!(ranks.iter().all(|rank| rank.2 == *timeline), "every rank gets all rows");
    let all = timeline.rows().iter().flatten();
    let spans: BTreeMap<_, _> = all.map(|span| (span.action, *span)).collect();
    for (row, got) in program.rows().iter().zip(timeline.rows()) {
        let actions: Vec<_> = got.iter().map(|span| span.action).collect();
        assert_eq!(row, &actions);
        assert!(got.iter().all(|span| 0.0 <= span.start && span.start <= span.end));
        // What is computed starts when the rank is free and the tensors are there.
        let computes: Vec<_> = got.iter().filter(|span| span.action.work().is_some()).collect();
        assert!(computes.windows(2).all(|pair| pair[0].end <= pair[1].start));
        for received in got {
            let Action::Recv(Transfer { direction, stage, microbatch }) = received.action else {
                continue;
            };
            let op = match direction {
                Direction::Forward => ComputeOp::Forward,
                Direction::Backward => ComputeOp::Backward,
            };
            let user = spans[&Action::Compute(Compute { op, stage, microbatch })];
            assert!(received.end <= user.start, "{} before {}", received.action, user.action);
        }
    }
}

#[test]
fn steps_accumulate_and_evaluation_changes_nothing() {
    let plan = named(Kind::OneFOneB, 2, 3);
    let ranks = run(
        &plan,
        NUM_LAYERS,
        |_, layers| Block::new(layers, true),
        |worker| {
            let before = worker.eval(&batch(6))?.loss();
            assert!(
                grads(worker.stages().map(|(_, p)| p)).is_empty(),
                "evaluation leaves no gradient"
            );
            worker.step(&batch(6))?;
            worker.eval(&batch(9))?; // another batch size in between
            worker.step(&batch(6))?;
            let after = worker.eval_with(
                &batch(6),
                StepOptions { outputs: Outputs::Keep, ..StepOptions::default() },
            )?;
            assert_eq!(after.loss(), before);
            assert_eq!(after.outputs.is_some(), worker.communicator().rank() == 1);
            Ok((before, grads(worker.stages().map(|(_, p)| p))))
        },
    )
    .unwrap();
    let (loss, once) = unsplit(NUM_LAYERS, &batch(6));
    let twice = once
        .into_iter()
        .map(|(name, grad)| (name, grad.iter().map(|g| 2.0 * g).collect()))
        .collect();
    assert_close(
        &(ranks[0].0, ranks.into_iter().flat_map(|rank| rank.1).collect()),
        &(loss, twice),
    );
}

#[test]
fn a_frozen_first_stage_leaves_the_others_right() {
    for text in
        ["0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n", "0F0,0F1,0I0,0I1,0W1,0W0\n1F0,1I0,1F1,1I1,1W0,1W1\n"]
    {
        let ranks = run(
            &table(text),
            NUM_LAYERS,
            |stage, layers| Block::new(layers, stage > 0),
            |worker| {
                let loss = worker.step(&batch(4))?.loss();
                Ok((loss, grads(worker.stages().map(|(_, p)| p))))
            },
        )
        .unwrap();
        assert!(ranks[0].1.is_empty());
        let (loss, mut expected) = unsplit(NUM_LAYERS, &batch(4));
        expected.retain(|name, _| ranks[1].1.contains_key(name));
        assert_eq!(expected.len(), 8, "four trainable layers of two parameters");
        assert_close(&(loss, ranks[1].1.clone()), &(loss, expected));
        assert_eq!(ranks[0].0, ranks[1].0);
    }
}

#[test]
fn the_same_run_twice_gives_the_same_bits() {
    let plan = named(Kind::OneFOneB, 3, 5);
    assert_eq!(pipelined(&plan, 10), pipelined(&plan, 10));
}
