//! The bytes that ranks hold are those that the simulator says.

use autopipe_nn::{Linear, Parameters};
use autopipe_runtime::{
    Batch, Communicator, Error, Keywords, Programs, StageModel, StepOptions, ThreadOptions, Worker,
    threads,
};
use autopipe_schedule::lower::{Recompute, recompute};
use autopipe_schedule::{
    Action, Costs, Extent, Kind, Plan, Rank, Span, Timeline, csv, generate, simulate,
};
use candle_core::{DType, Device, Result, Tensor};

use crate::net::{plain_parts, programs};

const NUM_STAGES: usize = 4;
const WIDTH: usize = 32;
const HIDDEN: usize = 256;
const ROWS: usize = 48;
const NUM_MICROBATCHES: usize = 6;

/// Messages that wait for their receiver count for the sender; how many do, only the clock knows.
const CONSTANT: f64 = 10e3 + (NUM_MICROBATCHES * ROWS * WIDTH * 8) as f64;

/// Blocks that are wide within and narrow between; stages have one or two.
struct Blocks(Vec<[Linear; 2]>, Parameters);

impl Blocks {
    fn new(stage: usize) -> Self {
        let mut parameters = Parameters::new();
        let mut linear = |name: String, num_out: usize, num_in: usize| {
            let weight = Tensor::ones((num_out, num_in), DType::F64, &Device::Cpu).unwrap();
            let weight = parameters.add(&name, (weight * 0.01).unwrap(), true).unwrap();
            Linear::new(weight, None).unwrap()
        };
        let blocks = (0..1 + stage % 2).map(|block| {
            let up = linear(format!("{stage}.{block}.up"), HIDDEN, WIDTH);
            [up, linear(format!("{stage}.{block}.down"), WIDTH, HIDDEN)]
        });
        Self(blocks.collect(), parameters)
    }
}

impl StageModel for Blocks {
    fn forward(&self, inputs: &[Tensor], _: &Keywords) -> Result<Vec<Tensor>> {
        let block =
            |x: Tensor, [up, down]: &[Linear; 2]| &x + down.forward(&up.forward(&x)?.tanh()?)?;
        Ok(vec![self.0.iter().try_fold(inputs[0].clone(), block)?])
    }

    fn parameters(&self) -> &Parameters {
        &self.1
    }
}

/// The second step: gradients have their buffers by then.
fn measured(programs: &Programs) -> Timeline {
    let rows = ROWS * programs.train.num_microbatches();
    let ones = Tensor::ones((rows, WIDTH), DType::F64, &Device::Cpu).unwrap();
    let batch = Batch::new(ones.clone(), ones);
    let num_ranks = programs.train.num_ranks();
    let timelines =
        threads(num_ranks, &ThreadOptions::default(), |world: Box<dyn Communicator>| {
            let mine = programs.train.placement().stages_of(Rank::new(world.rank()));
            let stage = |stage: usize| Box::new(Blocks::new(stage)) as Box<dyn StageModel>;
            let stages = mine.iter().map(|&id| (id, stage(id.index()))).collect();
            let mut worker = Worker::new(world, plain_parts(programs, stages))?;
            worker.step(&batch)?;
            let options = StepOptions { measure: true, ..StepOptions::default() };
            Ok::<_, Error>(worker.step_with(&batch, options)?.timeline.unwrap())
        });
    timelines.unwrap().swap_remove(0)
}

/// What each stage takes, of a table that has every kind of computation. As many stages on a rank
/// as in what is predicted: a rank also holds what its stages share, such as the buffers of products.
fn costs(num_ranks: usize) -> Costs {
    let row = |rank: usize| {
        let stages: Vec<usize> = (rank..NUM_STAGES).step_by(num_ranks).collect();
        let mut row = Vec::new();
        for (microbatch, backward) in [&["B"][..], &["I", "W"], &["R", "B"]].into_iter().enumerate()
        {
            row.extend(stages.iter().map(|stage| format!("{stage}F{microbatch}")));
            for stage in stages.iter().rev() {
                row.extend(backward.iter().map(|op| format!("{stage}{op}{microbatch}")));
            }
        }
        row.join(",") + "\n"
    };
    let table: String = (0..num_ranks).map(row).collect();
    Costs::measured(&measured(&programs(&csv::read_plan(table.as_bytes()).unwrap())))
}

fn assert_predicted(what: &str, plan: &Plan, costs: &Costs) {
    let programs = programs(plan);
    let mut actions = programs.train.rows().iter().flatten();
    let overlaps = actions.any(|action| matches!(action, Action::Overlap(_)));
    let timeline = measured(&programs);
    let measured = timeline.peak_bytes(&Costs::UNIT);
    let predicted = simulate(&programs.train, costs).peak_bytes(costs);
    for (rank, (measured, predicted)) in measured.iter().zip(&predicted).enumerate() {
        let more = measured - predicted;
        // The parts of an overlap that do not run side by side do not hold theirs side by side.
        let off = if overlaps { more } else { more.abs() };
        assert!(
            off <= 0.1 * predicted + CONSTANT,
            "{what}, rank {rank}: {measured} bytes, predicted {predicted}"
        );
    }
}

#[test]
fn every_schedule_holds_what_the_simulator_says() {
    for num_ranks in [2, 4] {
        let costs = costs(num_ranks);
        for kind in Kind::ALL {
            let stages_per_rank = NUM_STAGES / num_ranks;
            let extent = Extent { num_ranks, stages_per_rank, num_microbatches: NUM_MICROBATCHES };
            let Ok(plan) = generate(kind, &extent) else { continue };
            assert_predicted(&format!("{kind} on {num_ranks}"), &plan, &costs);
            if num_ranks == 2 {
                let plan = recompute(&plan, Recompute::All);
                assert_predicted(&format!("{kind}, recomputing"), &plan, &costs);
            }
        }
    }
}

#[test]
fn recomputing_holds_less() {
    let extent = Extent { num_ranks: 2, stages_per_rank: 2, num_microbatches: NUM_MICROBATCHES };
    let plan = generate(Kind::InterleavedOneFOneB, &extent).unwrap();
    // Beyond what is always there.
    let peaks = |plan: &Plan| -> Vec<f64> {
        let timeline = measured(&programs(plan));
        let least = timeline.rows().iter().map(|row: &Vec<Span>| {
            row.iter().filter_map(|span| span.held).fold(f64::INFINITY, |least, h| least.min(h.end))
        });
        let peaks = timeline.peak_bytes(&Costs::UNIT);
        peaks.into_iter().zip(least).map(|(peak, least)| peak - least).collect()
    };
    let (kept, recomputed) = (peaks(&plan), peaks(&recompute(&plan, Recompute::All)));
    assert!(
        kept.iter().zip(&recomputed).all(|(kept, less)| *less < 0.67 * kept),
        "{kept:?} {recomputed:?}"
    );
}
