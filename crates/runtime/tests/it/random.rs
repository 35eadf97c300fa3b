//! Whatever the schedule, the split, the shapes and the model: losses and gradients equal the unsplit
//! network's.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use autopipe_runtime::{Batch, Input, Programs, ThreadOptions};
use autopipe_schedule::lower::{Lowering, Receives, Recompute, WaitSends, lower_with, recompute};
use autopipe_schedule::{
    Compute, ComputeOp, Extent, Kind, MicroBatch, Plan, Stage, Work, generate, lower, validate,
};
use candle_core::{Device, Tensor};
use proptest::prelude::*;
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::gradients::compare;
use crate::net::WIDTH;
use crate::web::{Made, Node, SCALE, Web, Weight};

/// A network of at least `num_stages` modules.
fn web(rng: &mut ChaCha8Rng, num_stages: usize) -> Web {
    let num_modules = num_stages + rng.random_range(0..4);
    let frozen_start = rng.random_range(0..3);
    let node = |i: usize| {
        let mut takes = BTreeSet::new();
        if let Some(before) = i.checked_sub(1) {
            takes.insert((before, Made::Hidden));
            for _ in 0..rng.random_range(0..3) {
                let made = [Made::Hidden, Made::Signs, Made::Skip, Made::Squares];
                takes.insert((rng.random_range(0..i), *made.choose(rng).unwrap()));
            }
        }
        let weight = match rng.random_range(0..6) {
            _ if i < frozen_start && i + 1 < num_modules => Weight::Frozen,
            0 if i + 1 < num_modules => Weight::None,
            1 if i + 1 < num_modules => Weight::Frozen,
            _ => Weight::Trained,
        };
        Node { takes: takes.into_iter().collect(), weight, keywords: rng.random() }
    };
    Web((0..num_modules).map(node).collect())
}

/// A schedule by name.
fn named(rng: &mut ChaCha8Rng) -> Plan {
    loop {
        let extent = Extent {
            num_ranks: rng.random_range(1..5),
            stages_per_rank: rng.random_range(1..4),
            num_microbatches: rng.random_range(1..9),
        };
        if let Ok(plan) = generate(*Kind::ALL.choose(rng).unwrap(), &extent) {
            return plan;
        }
    }
}

/// A table as nobody would write it: any stage on any rank, any order that is possible.
fn wild(rng: &mut ChaCha8Rng) -> Plan {
    let num_ranks = rng.random_range(1..5);
    let num_stages = num_ranks + rng.random_range(0..4);
    let num_microbatches = rng.random_range(1..5);
    let mut rank_of: Vec<usize> = (0..num_ranks).collect();
    rank_of.extend((num_ranks..num_stages).map(|_| rng.random_range(0..num_ranks)));
    rank_of.shuffle(rng);

    let mut waiting: Vec<(Compute, Vec<Compute>)> = Vec::new();
    for (stage, microbatch) in
        (0..num_stages).flat_map(|stage| (0..num_microbatches).map(move |m| (stage, m)))
    {
        let microbatch = MicroBatch::new(microbatch);
        let of = |op, stage| Compute { op, stage: Stage::new(stage), microbatch };
        let before = stage.checked_sub(1).map(|before| of(ComputeOp::Forward, before));
        waiting.push((of(ComputeOp::Forward, stage), before.into_iter().collect()));
        let mut needs = vec![of(ComputeOp::Forward, stage)];
        if rng.random_range(0..3) == 0 {
            waiting.push((of(ComputeOp::Recompute, stage), needs.clone()));
            needs = vec![of(ComputeOp::Recompute, stage)];
        }
        if stage + 1 < num_stages {
            needs.push(of(ComputeOp::Backward, stage + 1)); // or I, see below
        }
        if rng.random() {
            waiting.push((of(ComputeOp::Backward, stage), needs));
        } else {
            waiting.push((of(ComputeOp::BackwardInput, stage), needs));
            let input = of(ComputeOp::BackwardInput, stage);
            waiting.push((of(ComputeOp::BackwardWeight, stage), vec![input]));
        }
    }
    let mut rows: Vec<Vec<Work>> = vec![Vec::new(); num_ranks];
    let mut done: BTreeSet<Compute> = BTreeSet::new();
    let is_done = |done: &BTreeSet<Compute>, compute: &Compute| {
        let input = Compute { op: ComputeOp::BackwardInput, ..*compute };
        done.contains(compute) || compute.op == ComputeOp::Backward && done.contains(&input)
    };
    while !waiting.is_empty() {
        let ready: Vec<usize> = (0..waiting.len())
            .filter(|&i| waiting[i].1.iter().all(|need| is_done(&done, need)))
            .collect();
        let (compute, _) = waiting.swap_remove(*ready.choose(rng).unwrap());
        done.insert(compute);
        rows[rank_of[compute.stage.index()]].push(compute.into());
    }
    Plan::from_rows(rows).unwrap()
}

fn programs(rng: &mut ChaCha8Rng, plan: &Plan) -> Programs {
    let lowering = Lowering {
        receives: *[Receives::Early, Receives::Late].choose(rng).unwrap(),
        wait_sends: *[WaitSends::Never, WaitSends::WhenTaken].choose(rng).unwrap(),
        ..Lowering::default()
    };
    Programs {
        train: Arc::new(validate(lower_with(plan, &lowering).unwrap()).unwrap()),
        eval: Arc::new(validate(lower(&plan.forward_only())).unwrap()),
    }
}

/// Numbers that differ.
fn tensor(rng: &mut ChaCha8Rng, dims: &[usize]) -> Tensor {
    let values: Vec<f64> =
        (0..dims.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

/// A batch, and what the unsplit network is to compute: all at once, or one after the other where the
/// microbatches differ in their shapes.
fn batch(rng: &mut ChaCha8Rng, num_microbatches: usize) -> (Batch, Vec<Batch>) {
    if rng.random() {
        let rows = num_microbatches + rng.random_range(0..5);
        let shape = if rng.random() { vec![rows, WIDTH] } else { vec![rows, 3, WIDTH] };
        let mut batch = Batch::new(tensor(rng, &shape), tensor(rng, &shape)).with_loss_scale(0.25);
        if rng.random() {
            batch = batch
                .with_keyword("mask", Input::along(tensor(rng, &[2, rows]), 1))
                .with_keyword("scale", Input::same(SCALE));
        }
        return (batch.clone(), vec![batch]);
    }
    let parts: Vec<Batch> = (0..num_microbatches)
        .map(|_| {
            let shape = [rng.random_range(1..3), rng.random_range(1..6), WIDTH];
            Batch::new(tensor(rng, &shape), tensor(rng, &shape)).with_loss_scale(0.25)
        })
        .collect();
    let each =
        |of: &dyn Fn(&Batch) -> Tensor| Input::each(parts.iter().map(of).collect::<Vec<_>>());
    let inputs = each(&|part| part.inputs[0].tensors()[0].clone());
    let targets = each(&|part| part.target.as_ref().unwrap().tensors()[0].clone());
    (Batch::new(inputs, targets).with_loss_scale(0.25), parts)
}

fn check(seed: u64, plan: impl FnOnce(&mut ChaCha8Rng) -> Plan) {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let mut plan = plan(rng);
    if rng.random_range(0..4) == 0 {
        plan = recompute(&plan, Recompute::All);
    }
    let num_stages = plan.num_stages();
    let web = web(rng, num_stages);
    let mut starts: Vec<usize> = (1..web.0.len()).collect();
    starts.shuffle(rng);
    starts.truncate(num_stages - 1);
    starts.push(0);
    starts.sort_unstable();
    let programs = programs(rng, &plan);
    let (batch, parts) = batch(rng, plan.num_microbatches());
    let options = ThreadOptions {
        threads_per_rank: NonZeroUsize::new(rng.random_range(1..3)),
        ..ThreadOptions::default()
    };
    let got = web.pipelined(&programs, &starts, &options, &batch);
    compare(&format!("seed {seed}"), &got, &web.unsplit(&parts));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_named_schedule(seed: u64) {
        check(seed, named);
    }

    #[test]
    fn any_table(seed: u64) {
        check(seed, wild);
    }
}
