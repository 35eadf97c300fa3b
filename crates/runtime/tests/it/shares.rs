//! What ranks hold that share their parameters out: their share of them, and between a stage's
//! computations no more.

use std::sync::Arc;

use autopipe_nn::{Linear, Parameters};
use autopipe_runtime::memory::Account;
use autopipe_runtime::{
    Batch, Communicator, Error, Keywords, Programs, Sharded, StageModel, StepOptions,
    ThreadOptions, Worker, WorkerParts, threads,
};
use autopipe_schedule::lower::{Lookahead, Lowering, ReduceGrads, Sharding, lower_with};
use autopipe_schedule::{Costs, Extent, Kind, Stage, generate, validate};
use candle_core::{DType, Device, Result, Tensor, Var};

use crate::net::plain_parts;

const WIDTH: usize = 192;
const NUM_STAGES: usize = 4;
const NUM_SHARING: usize = 4;
/// Of one stage.
const STAGE_BYTES: u64 = (8 * WIDTH * WIDTH) as u64;
const SHARE_BYTES: u64 = NUM_STAGES as u64 * STAGE_BYTES / NUM_SHARING as u64;
/// Everything else.
const SLACK: u64 = 48 << 10;

struct Layer {
    linear: Linear,
    parameters: Parameters,
}

impl Layer {
    fn new() -> Self {
        let mut parameters = Parameters::new();
        let weight =
            (Tensor::ones((WIDTH, WIDTH), DType::F64, &Device::Cpu).unwrap() * 1e-3).unwrap();
        let weight = parameters.add("weight", weight, true).unwrap();
        Self { linear: Linear::new(weight, None).unwrap(), parameters }
    }
}

impl StageModel for Layer {
    fn forward(&self, inputs: &[Tensor], _: &Keywords) -> Result<Vec<Tensor>> {
        Ok(vec![self.linear.forward(&inputs[0])?])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}

/// Leaves the buffers of products with the thread that computes.
fn warm_up(ones: &Tensor) {
    let layer = Layer::new();
    let [rows, _] = ones.dims() else { return };
    for half in [ones.clone(), ones.narrow(0, 0, rows / 2).unwrap()] {
        let x = Var::from_tensor(&half).unwrap();
        let y = layer.forward(&[x.as_tensor().clone()], &Keywords::new()).unwrap();
        y[0].sqr().unwrap().sum_all().unwrap().backward().unwrap();
    }
}

/// Between steps, with and without gradients, and the most in a step: beyond what there was before.
struct Holds {
    before: u64,
    with_grads: u64,
    after: u64,
    peak: f64,
}

fn held(max_active_stages: usize, each_microbatch: bool) -> Vec<Holds> {
    let extent = Extent { num_ranks: 1, stages_per_rank: NUM_STAGES, num_microbatches: 2 };
    let plan = generate(Kind::InterleavedOneFOneB, &extent).unwrap();
    let lowering = Lowering {
        sharding: Some(Sharding { max_active_stages, lookahead: Lookahead::Full }),
        reduce_grads: ReduceGrads::Immediate,
        ..Lowering::default()
    };
    let valid = |plan| Arc::new(validate(lower_with(plan, &lowering).unwrap()).unwrap());
    let programs = Programs { train: valid(&plan), eval: valid(&plan.forward_only()) };
    let ones = Tensor::ones((4, WIDTH), DType::F64, &Device::Cpu).unwrap();
    let batch = Batch::new(ones.clone(), ones.clone());
    threads(NUM_SHARING, &ThreadOptions::default(), |world: Box<dyn Communicator>| {
        let account = Account::of_thread().unwrap();
        let (alone, sharing) = (world.split(world.rank(), 0)?, world.split(0, world.rank())?);
        warm_up(&ones);
        let start = account.held().unwrap();
        let stage = |stage| (Stage::new(stage), Box::new(Layer::new()) as Box<dyn StageModel>);
        let parts = WorkerParts {
            sharded: Some(Sharded { comm: sharing, each_microbatch }),
            ..plain_parts(&programs, (0..NUM_STAGES).map(stage).collect())
        };
        let mut worker = Worker::new(alone, parts)?;
        let held = || {
            // What others still read of this rank's counts for it.
            world.barrier()?;
            let held = account.held().unwrap().saturating_sub(start);
            world.barrier()?;
            Ok::<_, Error>(held)
        };
        let before = held()?;
        worker.step(&batch)?;
        let with_grads = held()?;
        let options = StepOptions { measure: true, ..StepOptions::default() };
        worker.zero_grad();
        let timeline = worker.step_with(&batch, options)?.timeline.unwrap();
        worker.zero_grad();
        let peak = timeline.peak_bytes(&Costs::UNIT)[0] - start as f64;
        drop(timeline);
        Ok::<_, Error>(Holds { before, with_grads, after: held()?, peak })
    })
    .unwrap()
}

#[test]
fn between_steps_a_rank_holds_its_share_of_the_parameters_and_of_their_gradients() {
    for each_microbatch in [false, true] {
        for holds in held(1, each_microbatch) {
            let Holds { before, with_grads, after, .. } = holds;
            assert!((SHARE_BYTES..SHARE_BYTES + SLACK).contains(&before), "{before}");
            let two = 2 * SHARE_BYTES;
            assert!((two..two + SLACK).contains(&with_grads), "{with_grads}");
            assert!((SHARE_BYTES..SHARE_BYTES + SLACK).contains(&after), "{after}");
        }
    }
}

#[test]
fn in_a_step_a_rank_holds_the_stages_that_the_program_gathers() {
    let most = |max_active_stages| {
        held(max_active_stages, true).iter().fold(0f64, |most, holds| most.max(holds.peak))
    };
    let (one, all) = (most(1), most(NUM_STAGES));
    let more = (NUM_STAGES - 1) as f64 * STAGE_BYTES as f64;
    assert!(one + 0.6 * more < all, "{one} {all}");
}
