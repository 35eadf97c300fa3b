//! A network that uses one matrix in three places, cut into stages that hold a copy each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use autopipe_nn::{Linear, Parameters};
use autopipe_runtime::{
    Batch, Communicator, Error, Keywords, Programs, RankError, StageModel, ThreadOptions, Tie,
    Worker, WorkerParts, threads,
};
use autopipe_schedule::lower::{Lowering, lower_with};
use autopipe_schedule::{Plan, Rank, Stage, validate};
use candle_core::{DType, Device, Result, Tensor};

use crate::net::{Outcome, WIDTH, layers_of, plain_parts, whole};

pub(crate) const NUM_LAYERS: usize = 12;

/// Where the matrix is used and what it is called there: before the first layer and a middle one, and
/// behind the last.
const USES: [(usize, &str); 3] = [(0, "embed"), (NUM_LAYERS / 2, "middle"), (NUM_LAYERS, "head")];

/// Which of the places really use the matrix: in the others its copies are there without any use.
#[derive(Clone, Copy)]
pub(crate) struct Used(pub(crate) [bool; 3]);

pub(crate) const ALL: Used = Used([true; 3]);

/// Some layers of the network.
pub(crate) struct TiedNet {
    start: usize,
    layers: Vec<Linear>,
    used: Used,
    parameters: Parameters,
    /// Which forward fails, if any, counted from 1.
    fails_at: usize,
    num_forwards: AtomicUsize,
}

/// The names that the matrix has in these of the layers.
fn names_in(layers: &std::ops::Range<usize>) -> Vec<String> {
    let last = if layers.end == NUM_LAYERS { NUM_LAYERS + 1 } else { layers.end };
    let here = USES.iter().filter(|(at, _)| (layers.start..last).contains(at));
    here.map(|(_, name)| (*name).to_owned()).collect()
}

impl TiedNet {
    pub(crate) fn new(layers: std::ops::Range<usize>, used: Used, dtype: DType) -> Self {
        let mut parameters = Parameters::new();
        let mut add = |name: &str, phase: f64| {
            let values: Vec<f64> =
                (0..WIDTH * WIDTH).map(|i| ((i * 7) as f64 + phase).sin() * 0.6).collect();
            let value = Tensor::from_vec(values, (WIDTH, WIDTH), &Device::Cpu).unwrap();
            parameters.add(name, value.to_dtype(dtype).unwrap(), true).unwrap()
        };
        if let Some(name) = names_in(&layers).first() {
            add(name, 0.5);
        }
        let start = layers.start;
        let layers = layers
            .map(|layer| {
                let weight = add(&format!("{layer}.weight"), layer as f64 * 1.3);
                Linear::new(weight, None).unwrap()
            })
            .collect();
        let num_forwards = AtomicUsize::new(0);
        Self { start, layers, used, parameters, fails_at: 0, num_forwards }
    }

    pub(crate) fn failing_at(self, fails_at: usize) -> Self {
        Self { fails_at, ..self }
    }

    /// The same with parameters that are not trained.
    pub(crate) fn freeze(&mut self) {
        let mut frozen = Parameters::new();
        for parameter in &self.parameters {
            frozen.add(parameter.name(), parameter.value().detach(), false).unwrap();
        }
        self.parameters = frozen;
    }

    /// The matrix where it is used before this layer: at the ends by a layer that puts its gradient
    /// off, in the middle by candle's own operations.
    fn tied(&self, layer: usize, x: Tensor) -> Result<Tensor> {
        let place = USES.iter().position(|(at, _)| *at == layer);
        let Some(place) = place.filter(|&place| self.used.0[place]) else { return Ok(x) };
        let mut copies = USES.iter().filter_map(|(_, name)| self.parameters.get(name));
        let matrix = copies.next().unwrap();
        match place {
            1 => x.matmul(&matrix.value().t()?),
            _ => Linear::new(matrix.clone(), None)?.forward(&x),
        }
    }
}

impl StageModel for TiedNet {
    fn forward(&self, inputs: &[Tensor], _: &Keywords) -> Result<Vec<Tensor>> {
        if self.num_forwards.fetch_add(1, Ordering::Relaxed) + 1 == self.fails_at {
            candle_core::bail!("out of luck");
        }
        let mut x = inputs[0].clone();
        for (layer, linear) in (self.start..).zip(&self.layers) {
            x = self.tied(layer, x)?;
            x = (&x + (linear.forward(&x)?.tanh()? * 0.5)?)?;
        }
        if self.start + self.layers.len() == NUM_LAYERS {
            x = self.tied(NUM_LAYERS, x)?;
        }
        Ok(vec![x])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}

/// The copies of the matrix over so many stages: none if it is on one stage only.
pub(crate) fn ties(num_stages: usize) -> Vec<Tie> {
    let names = |stage| names_in(&layers_of(NUM_LAYERS, num_stages, stage));
    let copies: BTreeMap<Stage, Vec<String>> = (0..num_stages)
        .map(|stage| (Stage::new(stage), names(stage)))
        .filter(|(_, names)| !names.is_empty())
        .collect();
    if copies.len() > 1 { vec![Tie { copies }] } else { Vec::new() }
}

pub(crate) fn programs(plan: &Plan) -> Programs {
    let tied = ties(plan.num_stages()).into_iter().map(|tie| tie.copies.keys().copied().collect());
    let lowering = Lowering { tied: tied.collect(), ..Lowering::default() };
    let valid = |plan: &Plan| Arc::new(validate(lower_with(plan, &lowering).unwrap()).unwrap());
    Programs { train: valid(plan), eval: valid(&plan.forward_only()) }
}

/// Runs `body` on every rank with its worker.
pub(crate) fn run<T: Send>(
    plan: &Plan,
    make: impl Fn(usize, std::ops::Range<usize>) -> TiedNet + Sync,
    body: impl Fn(&mut Worker) -> std::result::Result<T, Error> + Sync,
) -> std::result::Result<Vec<T>, RankError<Error>> {
    let (programs, num_stages) = (programs(plan), plan.num_stages());
    threads(plan.num_ranks(), &ThreadOptions::default(), |world: Box<dyn Communicator>| {
        let mine = programs.train.placement().stages_of(Rank::new(world.rank()));
        let stages = mine.iter().map(|&stage: &Stage| {
            let net = make(stage.index(), layers_of(NUM_LAYERS, num_stages, stage.index()));
            (stage, Box::new(net) as Box<dyn StageModel>)
        });
        let plain = plain_parts(&programs, stages.collect());
        let parts = WorkerParts { ties: ties(num_stages), ..plain };
        body(&mut Worker::new(world, parts)?)
    })
}

/// Loss of the last batch and gradients of all, of the network with one matrix on one stage.
pub(crate) fn unsplit(batches: &[Batch], used: Used) -> Outcome {
    let net = TiedNet::new(0..NUM_LAYERS, used, DType::F64);
    whole(&net, batches)
}

/// What ranks have, as one network would have it: all copies are one matrix, to the last bit.
#[track_caller]
pub(crate) fn merged(ranks: Vec<BTreeMap<String, Vec<f64>>>) -> BTreeMap<String, Vec<f64>> {
    let mut all: BTreeMap<String, Vec<f64>> = ranks.into_iter().flatten().collect();
    let copies: Vec<_> = USES.iter().filter_map(|(_, name)| all.remove(*name)).collect();
    assert!(copies.windows(2).all(|pair| pair[0] == pair[1]), "copies differ: {copies:?}");
    all.extend(copies.into_iter().next().map(|matrix| ("embed".to_owned(), matrix)));
    all
}
