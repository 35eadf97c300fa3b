//! Several pipelines that train on batches of their own: each has the gradients of all batches, as one
//! network would, whatever the schedule, when they are summed and over how many steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use autopipe_runtime::{
    Batch, Communicator, Error, Programs, RankError, Recovered, Replicas, StageModel, StepOptions,
    ThreadOptions, Worker, WorkerParts, threads,
};
use autopipe_schedule::lower::{Lowering, ReduceGrads, lower_with};
use autopipe_schedule::{Extent, Kind, Plan, Rank, Stage, generate, validate};
use candle_core::DType;

use crate::gradients::compare;
use crate::net::{Outcome, batch, grads, layers_of, plain_parts};
use crate::tied_net::{ALL, NUM_LAYERS, TiedNet, Used, merged, ties, unsplit};

const MORE: StepOptions =
    StepOptions { outputs: autopipe_runtime::Outputs::Drop, measure: false, more_to_come: true };

/// When sums are made.
#[derive(Clone, Copy, Debug)]
struct When {
    reduce: ReduceGrads,
    each_microbatch: bool,
}

const ALL_TIMES: [When; 4] = [
    When { reduce: ReduceGrads::Immediate, each_microbatch: false },
    When { reduce: ReduceGrads::Deferred, each_microbatch: false },
    When { reduce: ReduceGrads::Immediate, each_microbatch: true },
    When { reduce: ReduceGrads::Deferred, each_microbatch: true },
];

fn programs(plan: &Plan, reduce: ReduceGrads) -> Programs {
    let tied = ties(plan.num_stages()).into_iter().map(|tie| tie.copies.keys().copied().collect());
    let lowering = Lowering { tied: tied.collect(), reduce_grads: reduce, ..Lowering::default() };
    let valid = |plan: &Plan| Arc::new(validate(lower_with(plan, &lowering).unwrap()).unwrap());
    Programs { train: valid(plan), eval: valid(&plan.forward_only()) }
}

/// Runs `body` on every rank of `num_replicas` pipelines, with the number of its pipeline; `make` makes a
/// pipeline's stage, by their numbers.
fn run<T: Send>(
    plan: &Plan,
    num_replicas: usize,
    when: When,
    make: impl Fn((usize, usize), std::ops::Range<usize>) -> TiedNet + Sync,
    body: impl Fn(&mut Worker, usize) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, RankError<Error>> {
    let (num_ranks, num_stages) = (plan.num_ranks(), plan.num_stages());
    let programs = programs(plan, when.reduce);
    threads(num_ranks * num_replicas, &ThreadOptions::default(), |world| {
        let (replica, place) = (world.rank() / num_ranks, world.rank() % num_ranks);
        let pipeline: Box<dyn Communicator> = world.split(replica, place)?;
        let comm = world.split(place, replica)?;
        let mine = programs.train.placement().stages_of(Rank::new(place));
        let stages = mine.iter().map(|&stage: &Stage| {
            let at = (replica, stage.index());
            let net = make(at, layers_of(NUM_LAYERS, num_stages, stage.index()));
            (stage, Box::new(net) as Box<dyn StageModel>)
        });
        let parts = WorkerParts {
            ties: ties(num_stages),
            replicas: Some(Replicas { comm, each_microbatch: when.each_microbatch }),
            ..plain_parts(&programs, stages.collect())
        };
        body(&mut Worker::new(pipeline, parts)?, replica)
    })
}

fn of(worker: &Worker) -> BTreeMap<String, Vec<f64>> {
    grads(worker.stages().map(|(_, parameters)| parameters))
}

/// What a replica trains on in a step: another number of rows and another weight for each.
fn own_batch(replica: usize, step: usize) -> Batch {
    batch(5 + 2 * replica + step).with_loss_scale(0.25 + replica as f64 - 0.1 * step as f64)
}

fn net(layers: std::ops::Range<usize>, used: Used) -> TiedNet {
    TiedNet::new(layers, used, DType::F64)
}

/// All steps of all replicas.
fn expected(num_replicas: usize, num_steps: usize, used: Used) -> BTreeMap<String, Vec<f64>> {
    let steps = 0..num_steps;
    let batches: Vec<Batch> =
        steps.flat_map(|step| (0..num_replicas).map(move |r| own_batch(r, step))).collect();
    unsplit(&batches, used).1
}

/// Three steps, of which the first leaves its sum to the second, and the third adds to what is summed.
#[track_caller]
fn assert_sums(plan: &Plan, num_replicas: usize, when: When, used: Used) {
    let what = format!("{num_replicas} replicas of {} ranks, {when:?}", plan.num_ranks());
    let ranks = run(
        plan,
        num_replicas,
        when,
        |_, layers| net(layers, used),
        |worker, replica| {
            worker.step_with(&own_batch(replica, 0), MORE)?;
            worker.eval(&own_batch(replica, 0))?;
            let loss = worker.step(&own_batch(replica, 1))?.loss();
            let two = of(worker);
            worker.step_with(&own_batch(replica, 2), MORE)?;
            Ok((loss, two, of(worker)))
        },
    )
    .unwrap();
    for (replica, pipeline) in ranks.chunks(plan.num_ranks()).enumerate() {
        let own = unsplit(&[own_batch(replica, 1)], used).0;
        let outcome = |grads: Vec<_>| -> Outcome { (pipeline[0].0, merged(grads)) };
        let two = outcome(pipeline.iter().map(|rank| rank.1.clone()).collect());
        compare(&format!("{what}, two"), &two, &(own, expected(num_replicas, 2, used)));
        let three = outcome(pipeline.iter().map(|rank| rank.2.clone()).collect());
        compare(&format!("{what}, three"), &three, &(own, expected(num_replicas, 3, used)));
    }
    for pipeline in ranks.chunks(plan.num_ranks()) {
        let same = ranks.iter().zip(pipeline).all(|(a, b)| a.1 == b.1 && a.2 == b.2);
        assert!(same, "{what}: replicas have the same bits");
    }
}

#[test]
fn every_schedule_sums_over_replicas() {
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        for num_ranks in 1..=3 {
            for stages_per_rank in 1..=2 {
                let extent = Extent { num_ranks, stages_per_rank, num_microbatches: 4 };
                let Ok(plan) = generate(kind, &extent) else { continue };
                // Every kind meets every time, each with one number of ranks or another.
                let when = ALL_TIMES[(number + num_ranks + stages_per_rank) % ALL_TIMES.len()];
                assert_sums(&plan, 2, when, ALL);
            }
        }
    }
}

#[test]
fn any_number_of_replicas_at_any_time() {
    let extent = Extent { num_ranks: 2, stages_per_rank: 2, num_microbatches: 4 };
    let plan = generate(Kind::ZbvZeroBubble, &extent).unwrap();
    for when in ALL_TIMES {
        for num_replicas in [1, 3, 4] {
            assert_sums(&plan, num_replicas, when, ALL);
        }
        assert_sums(&plan, 2, when, Used([false, true, true]));
    }
}

#[test]
fn a_step_that_one_replica_cannot_take_is_taken_by_none() {
    let extent = Extent { num_ranks: 2, stages_per_rank: 1, num_microbatches: 4 };
    let plan = generate(Kind::OneFOneB, &extent).unwrap();
    let when = ALL_TIMES[0];
    let ranks = run(
        &plan,
        2,
        when,
        |_, layers| net(layers, ALL),
        |worker, replica| {
            let short = if replica == 1 { batch(2) } else { batch(8) };
            let refused = worker.step(&short).unwrap_err().to_string();
            let options = if replica == 1 { MORE } else { StepOptions::default() };
            let other = worker.step_with(&batch(8), options).unwrap_err().to_string();
            assert!(of(worker).is_empty());
            worker.step(&own_batch(replica, 0))?;
            Ok((refused, other, of(worker)))
        },
    )
    .unwrap();
    for (refused, other, _) in &ranks {
        assert!(refused.contains("2 samples along dimension 0"), "{refused}");
        assert!(other.contains("training, more to come"), "{other}");
    }
    assert!(ranks[0].0.contains("its replica, rank 2, does not"), "{}", ranks[0].0);
    assert!(ranks[0].1.contains("its replica, rank 2, takes another step"), "{}", ranks[0].1);
    let got = merged(ranks[..2].iter().map(|rank| rank.2.clone()).collect());
    let loss = 1.0;
    compare("after it", &(loss, got), &(loss, expected(2, 1, ALL)));
}

#[test]
fn a_step_that_fails_on_a_replica_fails_on_all_and_they_begin_again() {
    let extent = Extent { num_ranks: 2, stages_per_rank: 2, num_microbatches: 4 };
    let plan = generate(Kind::InterleavedOneFOneB, &extent).unwrap();
    for when in ALL_TIMES {
        let make = |at, layers| {
            let net = net(layers, ALL);
            // The last microbatch of the second step.
            if at == (1, 3) { net.failing_at(8) } else { net }
        };
        let ranks = run(&plan, 2, when, make, |worker, replica| {
            worker.step(&own_batch(replica, 0))?;
            worker.step(&own_batch(replica, 1)).unwrap_err();
            assert_eq!(worker.recover()?, Recovered::GradientsCleared);
            assert!(of(worker).is_empty());
            worker.step(&own_batch(replica, 0))?;
            Ok(of(worker))
        })
        .unwrap();
        for pipeline in ranks.chunks(2) {
            let got = merged(pipeline.to_vec());
            compare("after it", &(1.0, got), &(1.0, expected(2, 1, ALL)));
        }
    }
}

#[test]
fn sums_are_kept_when_an_evaluation_fails() {
    let extent = Extent { num_ranks: 2, stages_per_rank: 1, num_microbatches: 4 };
    let plan = generate(Kind::OneFOneB, &extent).unwrap();
    for when in ALL_TIMES {
        let make = |at, layers| {
            let net = net(layers, ALL);
            // In the second pass over a batch.
            if at == (1, 1) { net.failing_at(6) } else { net }
        };
        let ranks = run(&plan, 2, when, make, |worker, replica| {
            worker.step(&own_batch(replica, 0))?;
            // On other pipelines it may be over before.
            let failed = worker.eval(&own_batch(replica, 0)).is_err();
            assert!(failed || replica != 1);
            assert_eq!(worker.recover()?, Recovered::GradientsKept);
            worker.step(&own_batch(replica, 1))?;
            Ok(of(worker))
        })
        .unwrap();
        let got = merged(ranks[..2].to_vec());
        compare(&format!("{when:?}"), &(1.0, got), &(1.0, expected(2, 2, ALL)));
    }
}

#[test]
fn a_program_that_does_not_sum_is_refused() {
    let extent = Extent { num_ranks: 2, stages_per_rank: 1, num_microbatches: 2 };
    let plan = generate(Kind::GPipe, &extent).unwrap();
    let when = When { reduce: ReduceGrads::Never, each_microbatch: false };
    let error = run(&plan, 2, when, |_, layers| net(layers, ALL), |_, _| Ok(())).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("has replicas, and the program does not sum its gradients"), "{text}");
}
