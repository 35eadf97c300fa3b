//! Tensors that go past stages, to several stages, and are of several types: losses and gradients
//! equal the unsplit network's.

use std::sync::Arc;

use autopipe_nn::Parameters;
use autopipe_runtime::{
    Communicator, Guard, Keywords, StageModel, ThreadOptions, Worker, WorkerParts, threads,
};
use autopipe_schedule::{Extent, Kind, Plan, Rank, Stage, generate};
use autopipe_splitter::routes;
use candle_core::{Result, Tensor};

use crate::gradients::compare;
use crate::net::{batch, loss, programs};
use crate::web::{Key, Made, Node, Web, Weight};

/// Five modules between whose neighbours more than one tensor goes.
fn web() -> Web {
    use Made::{Hidden, Signs, Skip, Squares};
    let node =
        |takes: &[Key]| Node { takes: takes.to_vec(), weight: Weight::Trained, keywords: false };
    Web(vec![
        node(&[]),
        node(&[(0, Hidden)]),
        node(&[(0, Signs), (1, Hidden)]),
        node(&[(1, Hidden), (2, Hidden)]),
        node(&[(0, Signs), (0, Skip), (3, Hidden), (2, Squares)]),
    ])
}

fn plan(kind: Kind, num_ranks: usize, stages_per_rank: usize) -> Plan {
    generate(kind, &Extent { num_ranks, stages_per_rank, num_microbatches: 4 }).unwrap()
}

#[test]
fn tensors_past_stages_bring_the_unsplit_gradients() {
    let batch = batch(10);
    let web = web();
    let unsplit = web.unsplit(std::slice::from_ref(&batch));
    for (kind, num_ranks, stages_per_rank) in [
        (Kind::GPipe, 2, 1),
        (Kind::OneFOneB, 3, 1),
        (Kind::OneFOneB, 4, 1),
        (Kind::GPipe, 5, 1),
        (Kind::InterleavedOneFOneB, 2, 2),
        (Kind::InterleavedZeroBubble, 2, 2),
        (Kind::ZbvZeroBubble, 2, 2),
        (Kind::DualPipeV, 2, 2),
        (Kind::LoopedBfs, 1, 5),
    ] {
        let what = format!("{kind} over {num_ranks} x {stages_per_rank}");
        let plan = plan(kind, num_ranks, stages_per_rank);
        let num_stages = plan.num_stages();
        let starts: Vec<usize> = (0..num_stages).map(|stage| 5 * stage / num_stages).collect();
        let options = ThreadOptions::default();
        let got = web.pipelined(&programs(&plan), &starts, &options, &batch);
        compare(&what, &got, &unsplit);
    }
}

#[test]
fn a_stage_that_makes_too_little_is_told_what_is_missing() {
    struct Short(Parameters);
    impl StageModel for Short {
        fn forward(&self, inputs: &[Tensor], _: &Keywords) -> Result<Vec<Tensor>> {
            Ok(vec![inputs[0].clone()])
        }
        fn parameters(&self) -> &Parameters {
            &self.0
        }
    }
    let web = web();
    let routes = routes(&web.graph(), &web.cut(&[0, 1, 2, 3, 4])).unwrap();
    let programs = programs(&plan(Kind::GPipe, 5, 1));
    let error = threads(5, &ThreadOptions::default(), |world: Box<dyn Communicator>| {
        let mine = programs.train.placement().stages_of(Rank::new(world.rank()));
        let short = |_| Box::new(Short(Parameters::new())) as Box<dyn StageModel>;
        let parts = WorkerParts {
            programs: programs.clone(),
            stages: mine.iter().map(|&stage| (stage, short(stage))).collect(),
            routes: Some(routes.clone()),
            ties: Vec::new(),
            replicas: None,
            sharded: None,
            tensor_parallel: None,
            trained_from: Stage::new(0),
            loss: Arc::clone(&loss()),
            scale_grads: false,
            guard: Guard::default(),
        };
        Worker::new(world, parts)?.step(&batch(4)).map(drop)
    })
    .unwrap_err()
    .to_string();
    assert!(error.contains("the stage returns 1 tensors for later stages"), "{error}");
    assert!(error.contains("has 3"), "{error}");
}
