//! Gradients of a parameter that several stages hold copies of: on each of them those of the one
//! matrix of the unsplit network, whatever the schedule, over several steps and after a failure.

use std::collections::BTreeMap;

use autopipe_runtime::{
    Communicator, Recovered, StageModel, ThreadOptions, Tie, Worker, WorkerParts, threads,
};
use autopipe_schedule::{Extent, Kind, Plan, Rank, Stage, generate};
use candle_core::DType;

use crate::gradients::compare;
use crate::net::{batch, grads, named, plain_parts};
use crate::tied_net::{ALL, NUM_LAYERS, TiedNet, Used, merged, programs, run, ties, unsplit};

fn of(worker: &Worker) -> BTreeMap<String, Vec<f64>> {
    grads(worker.stages().map(|(_, parameters)| parameters))
}

/// Two steps with evaluations between them: gradients after each.
#[track_caller]
fn assert_accumulates(what: &str, plan: &Plan, used: Used) {
    let batches = [batch(9), batch(7).with_loss_scale(-0.4)];
    let ranks = run(
        plan,
        |_, layers| TiedNet::new(layers, used, DType::F64),
        |worker| {
            let mut after = Vec::new();
            for batch in &batches {
                let before = of(worker);
                worker.eval(batch)?;
                assert_eq!(before, of(worker));
                let loss = worker.step(batch)?.loss();
                after.push((loss, of(worker)));
            }
            Ok(after)
        },
    )
    .unwrap();
    for num_steps in 1..=2 {
        let loss = ranks[0][num_steps - 1].0;
        let got = ranks.iter().map(|rank| rank[num_steps - 1].1.clone()).collect();
        let what = format!("{what}, step {num_steps}");
        compare(&what, &(loss, merged(got)), &unsplit(&batches[..num_steps], used));
    }
}

#[test]
fn every_schedule_sums_the_gradients_of_copies() {
    for kind in Kind::ALL {
        for num_ranks in 1..=4 {
            for stages_per_rank in 1..=3 {
                let extent = Extent { num_ranks, stages_per_rank, num_microbatches: 4 };
                let Ok(plan) = generate(kind, &extent) else { continue };
                assert_accumulates(&format!("{kind} {extent:?}"), &plan, ALL);
            }
        }
    }
}

#[test]
fn a_copy_without_a_gradient_counts_as_zeros() {
    let plan = named(Kind::OneFOneB, 3, 3);
    for used in [[true, false, false], [false, false, true], [false, true, true]] {
        assert_accumulates(&format!("{used:?}"), &plan, Used(used));
    }
    let kept = run(
        &plan,
        |_, layers| TiedNet::new(layers, Used([false; 3]), DType::F64),
        |worker| {
            worker.step(&batch(3))?;
            Ok(of(worker))
        },
    );
    let all = merged(kept.unwrap());
    assert_eq!(all.len(), NUM_LAYERS, "what has no gradient anywhere gets none");
}

/// A step, one that fails on one rank, and after the recovery one more: only that one is left.
#[test]
fn a_failed_step_leaves_nothing_of_the_sums() {
    for (kind, stages_per_rank) in [(Kind::OneFOneB, 1), (Kind::ZbvZeroBubble, 2)] {
        let plan =
            generate(kind, &Extent { num_ranks: 2, stages_per_rank, num_microbatches: 4 }).unwrap();
        let batch = batch(8);
        // The last microbatch of the second step: all others have left their gradients.
        let last = plan.num_stages() - 1;
        let make = |stage, layers| {
            let net = TiedNet::new(layers, ALL, DType::F64);
            if stage == last { net.failing_at(8) } else { net }
        };
        let ranks = run(&plan, make, |worker| {
            worker.step(&batch)?;
            worker.step(&batch).unwrap_err();
            assert_eq!(worker.recover()?, Recovered::GradientsCleared);
            assert!(of(worker).is_empty());
            let loss = worker.step(&batch)?.loss();
            Ok((loss, of(worker)))
        })
        .unwrap();
        let loss = ranks[0].0;
        let got = merged(ranks.into_iter().map(|rank| rank.1).collect());
        let batches = std::slice::from_ref(&batch);
        compare(&format!("{kind}"), &(loss, got), &unsplit(batches, ALL));
    }
}

/// Why two ranks of two stages do not begin.
fn refused(ties: &(dyn Fn() -> Vec<Tie> + Sync), trainable: bool) -> String {
    let plan = named(Kind::GPipe, 2, 1);
    let programs = programs(&plan);
    threads(2, &ThreadOptions::default(), |world: Box<dyn Communicator>| {
        let mine = programs.train.placement().stages_of(Rank::new(world.rank()));
        let layers = if world.rank() == 0 { 0..6 } else { 6..NUM_LAYERS };
        let mut net = TiedNet::new(layers, ALL, DType::F64);
        if !trainable {
            net.freeze();
        }
        let stages = BTreeMap::from([(mine[0], Box::new(net) as Box<dyn StageModel>)]);
        let parts = WorkerParts { ties: ties(), ..plain_parts(&programs, stages) };
        Worker::new(world, parts).map(drop)
    })
    .unwrap_err()
    .to_string()
}

#[test]
fn what_is_tied_has_to_be_there_and_summed() {
    let text = refused(&Vec::new, true);
    let expected = "sums the gradients of tie group 0 over the stages [0, 1], and its copies are on \
                    the stages []; lower the schedule with the same ties";
    assert!(text.contains(expected), "{text}");

    let twice = || [ties(2), ties(2)].concat();
    let text = refused(&twice, true);
    assert!(text.contains("tie group 1 over the stages [], and its copies are on"), "{text}");

    let renamed = || {
        let names = |stage| (Stage::new(stage), vec!["wte".to_owned(), "wpe".to_owned()]);
        vec![Tie { copies: [names(0), names(1)].into() }]
    };
    let text = refused(&renamed, true);
    assert!(
        text.contains("has 0 trainable parameters named `wte` or `wpe`; it needs one"),
        "{text}"
    );
    let text = refused(&|| ties(2), false);
    assert!(text.contains("has 0 trainable parameters named"), "{text}");
}
