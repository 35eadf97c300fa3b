//! Stages in front that train nothing: they and the first that does ask for no gradients of inputs,
//! and what is trained behind them is as it would be otherwise.

use std::collections::BTreeMap;

use autopipe_nn::Parameters;
use autopipe_runtime::{
    Communicator, Error, Guard, Keywords, RankError, StageModel, StepOptions, StepOutput,
    ThreadOptions, Worker, WorkerParts, threads,
};
use autopipe_schedule::lower::{Recompute, recompute};
use autopipe_schedule::{Action, Direction, Extent, Kind, Plan, Rank, Stage, generate};
use candle_core::{Result, Tensor};

use crate::gradients::compare;
use crate::net::{
    Block, Fail, Outcome, batch, grads, layers_of, named, plain_parts, programs, unsplit,
};

const NUM_LAYERS: usize = 12;

/// A stage that looks at what it gets: nobody may ask for a gradient that is good for nothing.
struct Watched {
    block: Block,
    /// Whether its inputs may be part of a graph.
    may_be_tracked: bool,
    /// Whether there is no backward.
    is_frozen: bool,
}

impl StageModel for Watched {
    fn forward(&self, inputs: &[Tensor], keywords: &Keywords) -> Result<Vec<Tensor>> {
        if inputs[0].track_op() && !self.may_be_tracked {
            candle_core::bail!("nobody waits for a gradient of this");
        }
        let outputs = self.block.forward(inputs, keywords)?;
        if self.is_frozen && outputs[0].track_op() {
            candle_core::bail!("what nothing is trained for has a graph");
        }
        Ok(outputs)
    }
    fn parameters(&self) -> &Parameters {
        self.block.parameters()
    }
}

/// What a rank brings of a step, and its gradients.
type Brought = (StepOutput, BTreeMap<String, Vec<f64>>);

/// A measured step and an evaluation of a network whose stages are trained from one on.
fn run(
    plan: &Plan,
    trained_from: usize,
    is_trained: impl Fn(usize) -> bool + Sync,
) -> std::result::Result<Vec<Brought>, RankError<Error>> {
    let (programs, num_stages) = (programs(plan), plan.num_stages());
    threads(plan.num_ranks(), &ThreadOptions::default(), |world: Box<dyn Communicator>| {
        let mine = programs.train.placement().stages_of(Rank::new(world.rank()));
        let stages = mine.iter().map(|&stage: &Stage| {
            let index = stage.index();
            let layers = layers_of(NUM_LAYERS, num_stages, index);
            let is_frozen = index < trained_from;
            let block = Block::new(layers, is_trained(index));
            let watched = Watched { block, may_be_tracked: index > trained_from, is_frozen };
            (stage, Box::new(watched) as Box<dyn StageModel>)
        });
        let plain = plain_parts(&programs, stages.collect());
        let parts = WorkerParts { trained_from: Stage::new(trained_from), ..plain };
        let mut worker = Worker::new(world, parts)?;
        let batch = batch(9);
        let options = StepOptions { measure: true, ..StepOptions::default() };
        let output = worker.step_with(&batch, options)?;
        assert_eq!(worker.eval(&batch)?.losses, output.losses);
        Ok((output, grads(worker.stages().map(|(_, parameters)| parameters))))
    })
}

/// The unsplit network's gradients of these layers.
fn of_layers(layers: impl Fn(usize) -> bool) -> Outcome {
    let (loss, mut all) = unsplit(NUM_LAYERS, &batch(9));
    all.retain(|name, _| layers(name.split('.').next().unwrap().parse().unwrap()));
    (loss, all)
}

/// Freezes all stages before one and, behind it, the last.
#[track_caller]
fn check(what: &str, plan: &Plan, trained_from: usize) {
    let last = plan.num_stages() - 1;
    let is_trained = |stage| stage == trained_from || (stage > trained_from && stage < last);
    let ranks = run(plan, trained_from, is_trained).unwrap();
    let timeline = ranks[0].0.timeline.clone().unwrap();
    for span in timeline.rows().iter().flatten() {
        if let Action::Send(transfer) = span.action
            && transfer.direction == Direction::Backward
        {
            let is_empty = span.moved == Some(0.0);
            assert_eq!(is_empty, transfer.stage.index() <= trained_from, "{what}: {}", span.action);
        }
    }
    let stage_of = |layer| {
        let has = |stage: &usize| layers_of(NUM_LAYERS, last + 1, *stage).contains(&layer);
        (0..=last).find(has).unwrap()
    };
    let expected = of_layers(|layer| is_trained(stage_of(layer)));
    assert!(!expected.1.is_empty(), "{what}");
    let loss = ranks[0].0.loss();
    let got = ranks.into_iter().flat_map(|rank| rank.1).collect();
    compare(what, &(loss, got), &expected);
}

#[test]
fn every_schedule_trains_what_is_behind_frozen_stages() {
    for kind in Kind::ALL {
        for (num_ranks, stages_per_rank) in [(1, 1), (3, 1), (2, 2), (1, 3), (2, 3)] {
            let extent = Extent { num_ranks, stages_per_rank, num_microbatches: 6 };
            let Ok(plan) = generate(kind, &extent) else { continue };
            for trained_from in 0..plan.num_stages() {
                check(&format!("{kind} {extent:?} from {trained_from}"), &plan, trained_from);
            }
        }
    }
}

#[test]
fn a_frozen_stage_recomputes_nothing() {
    let plan = recompute(&named(Kind::OneFOneB, 3, 4), Recompute::All);
    for trained_from in 0..3 {
        check(&format!("recomputed from {trained_from}"), &plan, trained_from);
    }
}

/// A frozen layer through which nothing goes back, and trainable ones above it.
struct HalfFrozen(Block, Block);

impl StageModel for HalfFrozen {
    fn forward(&self, inputs: &[Tensor], keywords: &Keywords) -> Result<Vec<Tensor>> {
        self.1.forward(&self.0.forward(inputs, keywords)?, keywords)
    }
    fn parameters(&self) -> &Parameters {
        self.1.parameters()
    }
}

/// The gradient of a frozen stage's input cannot be computed, nor that of frozen layers at the
/// beginning of the next, and nobody asks for either.
#[test]
fn no_backward_runs_through_what_is_frozen_in_front() {
    let plan = named(Kind::OneFOneB, 3, 3);
    let step = |trained_from: usize| {
        let programs = programs(&plan);
        threads(3, &ThreadOptions::default(), |world: Box<dyn Communicator>| {
            let stage = world.rank();
            let layers = layers_of(NUM_LAYERS, 3, stage);
            let frozen = || Block::new(layers.clone(), false);
            let model: Box<dyn StageModel> = match stage {
                0 => Box::new(frozen()),
                1 => Box::new(frozen().failing(Fail::Input)),
                _ => Box::new(HalfFrozen(frozen().failing(Fail::Input), Block::new(0..2, true))),
            };
            let plain = plain_parts(&programs, [(Stage::new(stage), model)].into());
            let trained_from = Stage::new(trained_from);
            let parts = WorkerParts { trained_from, guard: Guard::All, ..plain };
            Worker::new(world, parts)?.step(&batch(3)).map(drop)
        })
    };
    assert!(step(2).is_ok());
    let error = step(0).unwrap_err().to_string();
    assert!(error.contains("the gradient is lost"), "as without being told: {error}");
}

#[test]
fn what_would_get_no_gradient_is_refused() {
    let plan = named(Kind::OneFOneB, 2, 2);
    let error = run(&plan, 1, |_| true).unwrap_err().to_string();
    assert!(
        error.contains(
            "`0.weight` on stage 0 is trainable, but training begins at stage 1; freeze it or begin \
             at stage 0"
        ),
        "{error}"
    );
    let error = run(&plan, 2, |_| false).unwrap_err().to_string();
    let expected = "the first stage to train is 2, the program has the stages 0 to 1";
    assert!(error.contains(expected), "{error}");
}
