//! Ranks that cut a stage's matrices among them compute what one network computes.

use std::num::NonZeroUsize;

use autopipe_runtime::{Batch, Error, Input, StepOptions, ThreadOptions, threads};
use autopipe_schedule::{Extent, Kind, Plan, generate};

use crate::gradients::compare;
use crate::net::batch;
use crate::tensor_net::{At, Data, Grid, gathered, merged, programs, run, unsplit, worker};

const ALONE: Data = Data::Replicas(1);

fn grid(num_parts: usize, data: Data) -> Grid {
    Grid { num_parts, data, num_layers: 6 }
}

fn threads_per_rank(count: usize) -> ThreadOptions {
    ThreadOptions { threads_per_rank: NonZeroUsize::new(count), ..ThreadOptions::default() }
}

/// What the ranks of a pipeline train on in a step: another number of rows and weight for each.
fn own_batch(data: usize, step: usize) -> Batch {
    batch(5 + 2 * data + step).with_loss_scale(0.25 + data as f64 - 0.1 * step as f64)
}

/// Two steps on every rank, and an evaluation in between, beside one network on all batches.
#[track_caller]
fn assert_trains(options: &ThreadOptions, plan: &Plan, grid: Grid) {
    let what = format!("{grid:?}, {} ranks of {} stages", plan.num_ranks(), plan.num_stages());
    let ranks = run(options, plan, grid, |worker, at, group| {
        worker.step(&own_batch(at.data, 0))?;
        worker.eval(&own_batch(at.data, 1))?;
        let loss = worker.step(&own_batch(at.data, 1))?.loss();
        Ok((at, loss, gathered(worker, group, |p| p.grad())?))
    })
    .unwrap();
    let num_data = 1 + ranks.iter().map(|rank| rank.0.data).max().unwrap();
    let all: Vec<_> =
        (0..2).flat_map(|step| (0..num_data).map(move |data| own_batch(data, step))).collect();
    let expected = unsplit(&all, grid.num_layers).1;
    for data in 0..num_data {
        let own = unsplit(&[own_batch(data, 1)], grid.num_layers).0;
        for part in 0..grid.num_parts {
            let is_here = |at: &At| (at.data, at.part) == (data, part);
            let pipeline: Vec<_> = ranks.iter().filter(|rank| is_here(&rank.0)).collect();
            assert!(ranks.iter().all(|rank| rank.0.data != data || rank.1 == pipeline[0].1));
            let grads = merged(pipeline.iter().map(|rank| rank.2.clone()).collect());
            compare(&what, &(pipeline[0].1, grads), &(own, expected.clone()));
        }
    }
}

fn extents() -> impl Iterator<Item = Extent> {
    (1..=2).flat_map(|num_ranks| {
        let extent =
            move |stages_per_rank| Extent { num_ranks, stages_per_rank, num_microbatches: 4 };
        (1..=2).map(extent)
    })
}

fn every_schedule(num_parts: usize) {
    let mut count = 0;
    for kind in Kind::ALL {
        for plan in extents().filter_map(|extent| generate(kind, &extent).ok()) {
            assert_trains(&threads_per_rank(1), &plan, grid(num_parts, ALONE));
            count += 1;
        }
    }
    assert!(count >= 2 * Kind::ALL.len(), "{count}");
}

#[test]
fn two_parts_train_in_every_schedule() {
    every_schedule(2);
}

#[test]
fn three_parts_train_in_every_schedule() {
    every_schedule(3);
}

#[test]
fn four_parts_train_in_every_schedule() {
    every_schedule(4);
}

fn plan(kind: Kind) -> Plan {
    generate(kind, &Extent { num_ranks: 2, stages_per_rank: 2, num_microbatches: 4 }).unwrap()
}

#[test]
fn overlapped_parts_go_on_in_one_order() {
    for _ in 0..5 {
        assert_trains(&threads_per_rank(2), &plan(Kind::DualPipeV), grid(2, ALONE));
    }
    assert_trains(&threads_per_rank(3), &plan(Kind::DualPipeV), grid(3, ALONE));
}

/// Where one rank cannot do two things at once, all do the forward first.
#[test]
fn ranks_of_different_numbers_of_threads_do_not_wait_for_each_other_for_ever() {
    let (plan, grid) = (plan(Kind::DualPipeV), grid(2, ALONE));
    let programs = programs(&plan, grid);
    let ranks = threads(4, &threads_per_rank(2), |world| {
        let train = || {
            let (mut worker, _, group) =
                worker(&*world, &programs, grid, |end| end, |_, group| group)?;
            worker.step(&own_batch(0, 0))?;
            gathered(&worker, &group, |p| p.grad())
        };
        if world.rank() == 0 {
            let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            return alone.install(train);
        }
        train()
    });
    let ranks = ranks.unwrap();
    let got = merged(vec![ranks[0].clone(), ranks[2].clone()]);
    compare("uneven", &(1.0, got), &(1.0, unsplit(&[own_batch(0, 0)], 6).1));
}

#[test]
fn replicas_of_tensor_parallel_pipelines_sum_their_gradients() {
    for kind in [Kind::OneFOneB, Kind::ZbvZeroBubble, Kind::DualPipeV] {
        let stages_per_rank = kind.stages_per_rank().usual();
        let extent = Extent { num_ranks: 2, stages_per_rank, num_microbatches: 4 };
        let plan = generate(kind, &extent).unwrap();
        assert_trains(&threads_per_rank(1), &plan, grid(2, Data::Replicas(2)));
        assert_trains(&threads_per_rank(2), &plan, grid(2, Data::Replicas(2)));
    }
}

#[test]
fn parts_are_shared_out() {
    for kind in [Kind::InterleavedOneFOneB, Kind::ZbvZeroBubble] {
        assert_trains(&threads_per_rank(1), &plan(kind), grid(2, Data::Sharing(2)));
    }
    assert_trains(&threads_per_rank(1), &plan(Kind::ZbvZeroBubble), grid(3, Data::Sharing(2)));
}

#[test]
fn what_ranks_have_of_a_parameter_is_put_together() {
    let ranks = run(&threads_per_rank(1), &plan(Kind::ZbvZeroBubble), grid(3, ALONE), {
        |worker, _, group| gathered(worker, group, |p| Some(p.value().detach()))
    });
    let ranks = ranks.unwrap();
    let net = crate::tensor_net::CutNet::new(0..6, 6, None);
    let values = autopipe_runtime::StageModel::parameters(&net).iter();
    let flat = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
    let expected = values.map(|p| (p.name().to_owned(), flat(p.value()))).collect();
    assert_eq!(merged(ranks), expected);
}

/// What every rank is told where the first part of the second place differs.
fn refused(
    ask: impl Fn(&mut autopipe_runtime::Worker, bool) -> Result<(), Error> + Sync,
) -> Vec<String> {
    let told = run(
        &threads_per_rank(1),
        &plan(Kind::ZbvZeroBubble),
        grid(2, ALONE),
        |worker, at, group| {
            let error = ask(worker, at.part == 1).unwrap_err().to_string();
            assert!(gathered(worker, group, |p| p.grad())?.is_empty(), "nothing has happened");
            let loss = worker.step(&own_batch(0, 0))?.loss();
            let right = unsplit(&[own_batch(0, 0)], 6).0;
            assert!((loss - right).abs() <= 1e-12 * right.abs(), "{loss} {right}");
            Ok(error)
        },
    );
    told.unwrap()
}

#[test]
fn a_step_that_one_part_refuses_is_refused_by_all() {
    let told =
        refused(|worker, is_other| worker.step(&batch(if is_other { 2 } else { 8 })).map(drop));
    for told in told {
        assert!(told.contains("2 samples along dimension 0"), "{told}");
    }
}

#[test]
fn parts_that_are_asked_for_different_things_say_so() {
    let rows =
        refused(|worker, is_other| worker.step(&batch(if is_other { 12 } else { 8 })).map(drop));
    let seed = refused(|worker, is_other| {
        worker.step(&batch(8).with_seed(if is_other { 5 } else { 6 })).map(drop)
    });
    let more = refused(|worker, is_other| {
        let options = StepOptions { more_to_come: is_other, ..StepOptions::default() };
        worker.step_with(&batch(8), options).map(drop)
    });
    for (told, [here, there]) in [
        (rows, ["training, 8 rows", "training, 12 rows"]),
        (seed, ["training, seed 6, 8 rows", "training, seed 5, 8 rows"]),
        (more, ["training, 8 rows", "training, more to come, 8 rows"]),
    ] {
        let scale = ", a loss scale of 0.25";
        let words = format!(
            "its tensor-parallel peer, rank 1, takes another step: {there}{scale}; this one: \
             {here}{scale}"
        );
        assert!(told[0].contains(&words), "{}", told[0]);
        assert!(told.iter().all(|told| told.contains("takes another step")), "{told:?}");
    }
}

#[test]
fn parts_that_weigh_their_losses_differently_say_so() {
    let told = refused(|worker, is_other| {
        let batch = batch(8).with_loss_scale(if is_other { 0.125 } else { 1.0 });
        let refusal = worker.eval(&batch).unwrap_err().to_string();
        assert!(refusal.contains("takes another step: evaluation"), "{refusal}");
        worker.step(&batch).map(drop)
    });
    let words = "its tensor-parallel peer, rank 1, takes another step: training, 8 rows, a loss \
                 scale of 0.125; this one: training, 8 rows";
    assert!(told[0].contains(words), "{}", told[0]);
    assert!(told.iter().all(|told| told.contains("takes another step")), "{told:?}");
}

/// As many rows, in other microbatches.
#[test]
fn parts_that_cut_their_batches_differently_say_so() {
    let told = refused(|worker, is_other| {
        let cut = |input: &Input, rows: [usize; 4]| {
            let mut start = 0;
            let parts = rows.map(|rows| {
                start += rows;
                input.tensors()[0].narrow(0, start - rows, rows).unwrap()
            });
            Input::each(parts)
        };
        let rows = if is_other { [1, 3, 2, 2] } else { [2, 2, 2, 2] };
        let whole = batch(8);
        let target = whole.target.as_ref().map(|target| cut(target, rows));
        worker.step(&Batch { inputs: vec![cut(&whole.inputs[0], rows)], target, ..whole }).map(drop)
    });
    let there = "takes another step: training, 8 rows in microbatches of 1, 3, 2, 2";
    assert!(told[0].contains(there), "{}", told[0]);
    assert!(told.iter().all(|told| told.contains("takes another step")), "{told:?}");
}

/// Of the ranks of a pipeline the last one alone multiplies by it.
#[test]
fn a_loss_scale_that_nobody_uses_is_not_compared() {
    let plan =
        generate(Kind::OneFOneB, &Extent { num_ranks: 2, stages_per_rank: 1, num_microbatches: 4 });
    let losses = run(&threads_per_rank(1), &plan.unwrap(), grid(2, ALONE), |worker, at, _| {
        let is_last = worker.communicator().rank() == 1;
        let scale = if is_last { 0.25 } else { 2.0 + at.part as f64 };
        Ok(worker.step(&batch(8).with_loss_scale(scale))?.loss())
    });
    let expected = unsplit(&[batch(8).with_loss_scale(0.25)], 6).0;
    for loss in losses.unwrap() {
        assert!((loss - expected).abs() <= 1e-12 * expected.abs(), "{loss} {expected}");
    }
}
