//! A pipeline between processes makes the bits that it makes between threads.

use autopipe_runtime::{Communicator, Error, StageModel, ThreadOptions, Worker, threads};
use autopipe_schedule::{Extent, Kind, Plan, Rank, generate};

use super::net::{Block, Outcome, batch, grads, layers_of, plain_parts, programs, run_programs};
use super::tensor_net::{self, Data, Grid};

const NUM_LAYERS: usize = 10;
const NUM_MICROBATCHES: usize = 8;

/// The losses of two steps and an evaluation, and the gradients, as bits.
type Bits = (Vec<u64>, Vec<(String, Vec<u64>)>);

fn plans(num_ranks: usize) -> Vec<Plan> {
    let kinds = [(Kind::OneFOneB, 1), (Kind::InterleavedOneFOneB, 2), (Kind::ZbvZeroBubble, 2)];
    let extent =
        |stages_per_rank| Extent { num_ranks, stages_per_rank, num_microbatches: NUM_MICROBATCHES };
    kinds.map(|(kind, per_rank)| generate(kind, &extent(per_rank)).unwrap()).into()
}

fn train(worker: &mut Worker) -> Result<Bits, Error> {
    let first = worker.step(&batch(NUM_MICROBATCHES))?.loss();
    let second = worker.step(&batch(2 * NUM_MICROBATCHES))?.loss();
    let third = worker.eval(&batch(NUM_MICROBATCHES))?.loss();
    let outcome: Outcome = (first, grads(worker.stages().map(|(_, parameters)| parameters)));
    let bits = |numbers: Vec<f64>| numbers.into_iter().map(f64::to_bits).collect();
    let gradients = outcome.1.into_iter().map(|(name, numbers)| (name, bits(numbers))).collect();
    Ok((bits(vec![first, second, third]), gradients))
}

pub(crate) fn trains_as_threads_do(world: Box<dyn Communicator>) -> Result<(), Error> {
    for plan in plans(world.size()) {
        let programs = programs(&plan);
        let num_stages = programs.train.num_stages();
        let make = |layers| Box::new(Block::new(layers, true)) as Box<dyn StageModel>;
        let stages = programs
            .train
            .placement()
            .stages_of(Rank::new(world.rank()))
            .iter()
            .map(|&stage| (stage, make(layers_of(NUM_LAYERS, num_stages, stage.index()))))
            .collect();
        // All ranks of the world, as another group for each schedule.
        let pipeline = world.split(0, world.rank())?;
        let mut worker = Worker::new(pipeline, plain_parts(&programs, stages))?;
        let got = train(&mut worker)?;
        assert!(!got.1.is_empty());

        let threads = run_programs(
            &ThreadOptions::default(),
            &programs,
            NUM_LAYERS,
            |_, layers| Block::new(layers, true),
            train,
        );
        let expected = &threads.unwrap()[world.rank()];
        assert_eq!(&got, expected);
    }
    Ok(())
}

/// Two ranks cut the matrices of each stage.
pub(crate) fn parts_train_as_threads_do(world: Box<dyn Communicator>) -> Result<(), Error> {
    let num_ranks = world.size() / 2;
    let grid = Grid { num_parts: 2, data: Data::Replicas(1), num_layers: NUM_LAYERS };
    for (kind, stages_per_rank) in [(Kind::OneFOneB, 1), (Kind::DualPipeV, 2)] {
        let extent = Extent { num_ranks, stages_per_rank, num_microbatches: NUM_MICROBATCHES };
        let programs = tensor_net::programs(&generate(kind, &extent).unwrap(), grid);
        let train = |world: &dyn Communicator| {
            let (mut worker, ..) =
                tensor_net::worker(world, &programs, grid, |end| end, |_, group| group)?;
            train(&mut worker)
        };
        let got = train(&*world)?;
        assert!(!got.1.is_empty());
        let threads = threads(world.size(), &ThreadOptions::default(), |world| train(&*world));
        assert_eq!(got, threads.unwrap()[world.rank()]);
    }
    Ok(())
}
