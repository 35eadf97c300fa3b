//! What a forward is told besides its inputs: the same on every rank, and again when it is recomputed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use autopipe_nn::Parameters;
use autopipe_runtime::{
    Batch, Communicator, Error, Keywords, Noise, Programs, StageModel, ThreadOptions, Worker,
    threads,
};
use autopipe_schedule::lower::{Recompute, recompute};
use autopipe_schedule::{Kind, Rank, lower, validate};
use candle_core::{Result, Tensor};

use crate::net::{Block, batch, named, plain_parts, programs};

/// Share and noise by which a forward was told them, in the order of the calls.
type Told = Vec<(f64, Option<Noise>)>;

/// A stage that keeps what it is told, by its number of rows: different for each microbatch.
struct Listening(Block, Arc<Mutex<Told>>);

impl StageModel for Listening {
    fn forward(&self, inputs: &[Tensor], keywords: &Keywords) -> Result<Vec<Tensor>> {
        self.1.lock().unwrap().push((keywords.share(), keywords.noise()));
        self.0.forward(inputs, keywords)
    }
    fn parameters(&self) -> &Parameters {
        self.0.parameters()
    }
}

/// What the stage of each of three ranks is told in two microbatches of five rows, forwards and
/// recomputations, of which only the first rank has the inputs; then in an evaluation.
fn told(change: impl Fn(Batch) -> Batch + Sync) -> Vec<[Told; 2]> {
    let plan = recompute(&named(Kind::GPipe, 3, 2), Recompute::All);
    let train = Arc::new(validate(lower(&plan)).unwrap());
    let programs = Programs { train, ..programs(&plan) };
    let ranks = threads(3, &ThreadOptions::default(), |world: Box<dyn Communicator>| {
        let rank = world.rank();
        let heard = Arc::new(Mutex::new(Told::new()));
        let stage = programs.train.placement().stages_of(Rank::new(rank))[0];
        let model = Listening(Block::new(rank..rank + 1, true), Arc::clone(&heard));
        let stages = BTreeMap::from([(stage, Box::new(model) as Box<dyn StageModel>)]);
        let mut worker = Worker::new(world, plain_parts(&programs, stages))?;
        let mut batch = change(batch(5));
        if rank > 0 {
            batch.inputs.clear();
        }
        if rank < 2 {
            batch.target = None;
        }
        worker.step(&batch)?;
        let of_step = std::mem::take(&mut *heard.lock().unwrap());
        worker.eval(&batch)?;
        let of_eval = std::mem::take(&mut *heard.lock().unwrap());
        Ok::<_, Error>([of_step, of_eval])
    });
    ranks.unwrap()
}

#[test]
fn every_stage_is_told_share_and_noise_and_again_when_it_recomputes() {
    let noise = |first_row| Some(Noise { seed: u64::MAX - 1, first_row });
    for [mut of_step, of_eval] in told(|batch| batch.with_seed(u64::MAX - 1).with_share(0.5)) {
        of_step.sort_by(|a, b| b.0.total_cmp(&a.0));
        let twice = [0.3, 0.3, 0.2, 0.2].into_iter().zip([0, 0, 3, 3].map(noise));
        assert!(of_step.into_iter().eq(twice), "each in F and in R");
        assert_eq!(of_eval, [(0.3, None), (0.2, None)]);
    }
    for [of_step, _] in told(|batch| batch) {
        assert_eq!(of_step.iter().map(|told| told.0).sum::<f64>(), 2.0);
        assert!(of_step.iter().all(|told| told.1.is_none()), "nothing is left to chance");
    }
}
