//! Pipelines that share their parameters out: each rank keeps slices, and they learn what one network
//! would, to the bit what replicas learn.

use std::ops::Range;

use autopipe_nn::Parameter;
use autopipe_runtime::{
    Programs, Recovered, Sharded, StageModel, ThreadOptions, Worker, WorkerParts, threads,
};
use autopipe_schedule::lower::{Lowering, ReduceGrads, lower_with};
use autopipe_schedule::{Extent, Kind, Rank, Stage, generate};

use crate::gradients::compare;
use crate::net::{batch, layers_of, plain_parts};
use crate::sharing::{
    How, MORE, TWO, all_ways, assert_trains, assert_trains_as_replicas, expected, flat, gathered,
    is_as_between_steps, lowering, net, own_batch, programs, run, train, zbv,
};
use crate::tied_net::{ALL, NUM_LAYERS, merged, unsplit};

#[test]
fn every_schedule_trains_with_what_is_shared_out() {
    let ways = all_ways();
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        for num_ranks in 1..=3 {
            for stages_per_rank in 1..=2 {
                let extent = Extent { num_ranks, stages_per_rank, num_microbatches: 4 };
                let Ok(plan) = generate(kind, &extent) else { continue };
                let mut how = ways[(3 * number + num_ranks + 4 * stages_per_rank) % ways.len()];
                if lower_with(&plan, &lowering(&plan, how)).is_err() {
                    how.max_active_stages = 2; // as many as an overlap computes with
                }
                assert_trains_as_replicas(&plan, how);
            }
        }
    }
}

#[test]
fn any_number_of_ranks_shares_in_any_way() {
    for how in all_ways() {
        for num_sharing in [1, 3, 4] {
            assert_trains_as_replicas(&zbv(), How { num_sharing: Some(num_sharing), ..how });
        }
    }
}

#[test]
fn slices_are_summed_over_their_replicas() {
    for how in all_ways() {
        for of_replicas in [false, true] {
            let each_microbatch = [how.each_microbatch[0], of_replicas];
            assert_trains(&zbv(), How { num_replicas: 2, each_microbatch, ..how });
        }
    }
}

#[test]
fn steps_without_an_update_between_them_add_up() {
    for how in all_ways() {
        for num_replicas in [1, 2] {
            let how = How { num_replicas, ..how };
            let plan = zbv();
            let programs = programs(&plan, &lowering(&plan, how));
            let ranks = run(
                &programs,
                how,
                |_, layers| net(layers),
                |worker, pipeline| {
                    // Sums, then what is not told yet, then all of it.
                    worker.step(&own_batch(pipeline, 0))?;
                    worker.step_with(&own_batch(pipeline, 1), MORE)?;
                    worker.step(&own_batch(pipeline, 2))?;
                    gathered(worker, Parameter::grad)
                },
            );
            let got = merged(ranks.unwrap()[..2].to_vec());
            let all =
                (0..3).flat_map(|step| (0..how.num_pipelines()).map(move |p| own_batch(p, step)));
            let right = unsplit(&all.collect::<Vec<_>>(), ALL).1;
            compare(&format!("{how:?}"), &(1.0, got), &(1.0, right));
        }
    }
}

#[test]
fn a_step_that_fails_leaves_slices_and_can_be_taken_again() {
    let extent = Extent { num_ranks: 2, stages_per_rank: 2, num_microbatches: 4 };
    let plan = generate(Kind::InterleavedOneFOneB, &extent).unwrap();
    for how in all_ways() {
        let make = |at, layers| {
            let net = net(layers);
            // The last microbatch of the second step.
            if at == (1, 3) { net.failing_at(8) } else { net }
        };
        let programs = programs(&plan, &lowering(&plan, how));
        let ranks = run(&programs, how, make, |worker, pipeline| {
            let slices = |worker: &Worker| -> Vec<Vec<f64>> {
                worker.owned().flat_map(|(_, owned)| owned).map(|p| flat(p.value())).collect()
            };
            worker.step(&own_batch(pipeline, 0))?;
            let before = slices(worker);
            worker.step(&own_batch(pipeline, 1)).unwrap_err();
            assert!(is_as_between_steps(worker, how));
            assert_eq!(worker.recover()?, Recovered::GradientsCleared);
            assert_eq!(slices(worker), before);
            assert!(gathered(worker, Parameter::grad)?.is_empty());
            train(worker, pipeline)
        })
        .unwrap();
        let right = expected(2);
        let weights = merged(ranks[..2].iter().map(|rank| rank.weights.clone()).collect());
        compare("after it", &(1.0, weights), &(1.0, right.weights));
    }
}

#[test]
fn gradients_are_kept_when_an_evaluation_fails() {
    let plan = zbv();
    for how in all_ways() {
        let how = How { num_replicas: 2, ..how };
        let make = |at, layers| {
            let net = net(layers);
            // In the third pass over a batch.
            if at == (1, 1) { net.failing_at(10) } else { net }
        };
        let programs = programs(&plan, &lowering(&plan, how));
        let ranks = run(&programs, how, make, |worker, pipeline| {
            worker.step(&own_batch(pipeline, 0))?;
            // What no rank has been told yet, or no replica.
            worker.step_with(&own_batch(pipeline, 1), MORE)?;
            // On other pipelines it may be over before.
            let failed = worker.eval(&own_batch(pipeline, 0)).is_err();
            assert!(failed || pipeline != 1);
            assert!(is_as_between_steps(worker, how));
            assert_eq!(worker.recover()?, Recovered::GradientsKept);
            worker.step(&own_batch(pipeline, 2))?;
            gathered(worker, Parameter::grad)
        })
        .unwrap();
        let got = merged(ranks[..2].to_vec());
        let all = (0..3).flat_map(|step| (0..4).map(move |p| own_batch(p, step)));
        let right = unsplit(&all.collect::<Vec<_>>(), ALL).1;
        compare(&format!("{how:?}"), &(1.0, got), &(1.0, right));
    }
}

#[test]
fn a_step_that_one_rank_cannot_take_is_taken_by_none_that_shares_with_it() {
    let plan = zbv();
    for num_replicas in [1, 2] {
        let how = How { num_replicas, ..TWO };
        let programs = programs(&plan, &lowering(&plan, how));
        let told = run(
            &programs,
            how,
            |_, layers| net(layers),
            |worker, pipeline| {
                let short = if pipeline == 1 { batch(2) } else { batch(8) };
                let refused = worker.step(&short).unwrap_err().to_string();
                assert!(gathered(worker, Parameter::grad)?.is_empty());
                worker.step(&own_batch(pipeline, 0))?;
                Ok(refused)
            },
        );
        for refused in told.unwrap() {
            assert!(refused.contains("2 samples along dimension 0"), "{refused}");
        }
    }
}

#[test]
fn programs_that_do_not_gather_or_sum_are_refused() {
    let plan = zbv();
    let whole = lowering(&plan, TWO);
    let without = |lowering: Lowering| programs(&plan, &lowering);
    let trains_only = Programs {
        eval: without(Lowering { sharding: None, ..whole.clone() }).eval,
        ..without(whole.clone())
    };
    for (programs, action) in [
        (without(Lowering { sharding: None, ..whole.clone() }), "UNSHARD"),
        (without(Lowering { reduce_grads: ReduceGrads::Never, ..whole }), "REDUCE_GRAD"),
        (trains_only, "UNSHARD"),
    ] {
        let error = run(&programs, TWO, |_, layers| net(layers), |_, _| Ok(())).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("are shared out, and a program has no "), "{text}");
        assert!(text.contains(&format!("{action}; lower both schedules with")), "{text}");
    }
}

/// What is not trained is whole everywhere, and nothing is asked of its programs.
#[test]
fn frozen_parameters_are_not_shared_out() {
    let plan = zbv();
    let programs = programs(&plan, &Lowering::default());
    let make = |_: (usize, usize), layers: Range<usize>| {
        let mut net = net(layers);
        net.freeze();
        net
    };
    let how = How { num_replicas: 1, ..TWO };
    let alone = threads(2 * plan.num_ranks(), &ThreadOptions::default(), |world| {
        let (pipeline, place) = (world.rank() / 2, world.rank() % 2);
        let comm = world.split(pipeline, place)?;
        let sharing = world.split(place, pipeline)?;
        let mine = programs.train.placement().stages_of(Rank::new(place));
        let stages = mine.iter().map(|&stage: &Stage| {
            let layers = layers_of(NUM_LAYERS, plan.num_stages(), stage.index());
            (stage, Box::new(make((0, 0), layers)) as Box<dyn StageModel>)
        });
        let parts = WorkerParts {
            sharded: Some(Sharded { comm: sharing, each_microbatch: how.each_microbatch[0] }),
            ..plain_parts(&programs, stages.collect())
        };
        let mut worker = Worker::new(comm, parts)?;
        let all_whole =
            worker.owned().flat_map(|(_, owned)| owned).all(|p| !p.is_slice() && !p.is_released());
        assert!(all_whole);
        worker.eval(&batch(8)).map(|output| output.loss())
    })
    .unwrap();
    let right = unsplit(&[batch(8)], ALL).0;
    assert!(alone.iter().all(|loss| (loss - right).abs() <= 1e-12 * right.abs()), "{alone:?}");
}
