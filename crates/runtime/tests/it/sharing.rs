//! Training runs of pipelines that share their parameters out, and of one network that should learn
//! the same.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use autopipe_nn::Parameter;
use autopipe_nn::optim::{Optimizer, SgdConfig};
use autopipe_runtime::{
    Batch, Error, Keywords, Outputs, Programs, RankError, Replicas, Sharded, StageModel,
    StepOptions, ThreadOptions, Worker, WorkerParts, threads,
};
use autopipe_schedule::lower::{Lookahead, Lowering, ReduceGrads, Sharding, lower_with};
use autopipe_schedule::{Extent, Kind, Plan, Rank, Stage, generate, validate};
use candle_core::{DType, Tensor};

use crate::gradients::compare;
use crate::net::{batch, grads, layers_of, loss, plain_parts};
use crate::tied_net::{ALL, NUM_LAYERS, TiedNet, merged, ties};

pub(crate) const MORE: StepOptions =
    StepOptions { outputs: Outputs::Drop, measure: false, more_to_come: true };

pub(crate) type Numbers = BTreeMap<String, Vec<f64>>;

/// How parameters are shared out and gradients summed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// Over how many pipelines; none for replicas instead.
    pub(crate) num_sharing: Option<usize>,
    pub(crate) num_replicas: usize,
    /// For ranks that share, and for replicas.
    pub(crate) each_microbatch: [bool; 2],
    pub(crate) reduce: ReduceGrads,
    pub(crate) max_active_stages: usize,
}

impl How {
    pub(crate) fn num_pipelines(self) -> usize {
        self.num_sharing.unwrap_or(1) * self.num_replicas
    }

    /// The same sums over replicas that have all parameters.
    pub(crate) fn replicated(self) -> Self {
        let num_replicas = self.num_pipelines();
        let each_microbatch = [self.each_microbatch[0]; 2];
        Self { num_sharing: None, num_replicas, each_microbatch, ..self }
    }
}

pub(crate) const TWO: How = How {
    num_sharing: Some(2),
    num_replicas: 1,
    each_microbatch: [false, false],
    reduce: ReduceGrads::Immediate,
    max_active_stages: 1,
};

/// Two pipelines in every way.
pub(crate) fn all_ways() -> Vec<How> {
    let mut ways = Vec::new();
    for reduce in [ReduceGrads::Immediate, ReduceGrads::Deferred] {
        for each in [false, true] {
            for max_active_stages in [1, 3] {
                ways.push(How { reduce, each_microbatch: [each, false], max_active_stages, ..TWO });
            }
        }
    }
    ways
}

pub(crate) fn lowering(plan: &Plan, how: How) -> Lowering {
    let tied = ties(plan.num_stages()).into_iter().map(|tie| tie.copies.keys().copied().collect());
    let max_active_stages = how.max_active_stages;
    let sharding = Sharding { max_active_stages, lookahead: Lookahead::Full };
    Lowering {
        tied: tied.collect(),
        sharding: how.num_sharing.map(|_| sharding),
        reduce_grads: how.reduce,
        ..Lowering::default()
    }
}

pub(crate) fn programs(plan: &Plan, lowering: &Lowering) -> Programs {
    let valid = |plan: &Plan| Arc::new(validate(lower_with(plan, lowering).unwrap()).unwrap());
    Programs { train: valid(plan), eval: valid(&plan.forward_only()) }
}

/// Runs `body` on every rank with the number of its pipeline; `make` makes a pipeline's stage.
pub(crate) fn run<T: Send>(
    programs: &Programs,
    how: How,
    make: impl Fn((usize, usize), Range<usize>) -> TiedNet + Sync,
    body: impl Fn(&mut Worker, usize) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, RankError<Error>> {
    let (num_ranks, num_stages) = (programs.train.num_ranks(), programs.train.num_stages());
    let num_sharing = how.num_sharing.unwrap_or(1);
    threads(num_ranks * how.num_pipelines(), &ThreadOptions::default(), |world| {
        let (pipeline, place) = (world.rank() / num_ranks, world.rank() % num_ranks);
        let (group, slice) = (pipeline / num_sharing, pipeline % num_sharing);
        let comm = world.split(pipeline, place)?;
        let sharing = world.split(group * num_ranks + place, slice)?;
        let replicas = world.split(slice * num_ranks + place, group)?;
        let mine = programs.train.placement().stages_of(Rank::new(place));
        let stages = mine.iter().map(|&stage: &Stage| {
            let at = (pipeline, stage.index());
            let net = make(at, layers_of(NUM_LAYERS, num_stages, stage.index()));
            (stage, Box::new(net) as Box<dyn StageModel>)
        });
        let [each_shared, each_replicated] = how.each_microbatch;
        let parts = WorkerParts {
            ties: ties(num_stages),
            sharded: how
                .num_sharing
                .map(|_| Sharded { comm: sharing, each_microbatch: each_shared }),
            replicas: (how.num_replicas > 1 || how.num_sharing.is_none())
                .then_some(Replicas { comm: replicas, each_microbatch: each_replicated }),
            ..plain_parts(programs, stages.collect())
        };
        body(&mut Worker::new(comm, parts)?, pipeline)
    })
}

pub(crate) fn net(layers: Range<usize>) -> TiedNet {
    TiedNet::new(layers, ALL, DType::F64)
}

pub(crate) fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// What `of` says of each parameter that this rank has a slice of, put together.
pub(crate) fn gathered(
    worker: &Worker,
    of: impl Fn(&Parameter) -> Option<Tensor>,
) -> Result<Numbers, Error> {
    let mut all = Numbers::new();
    for (stage, owned) in worker.owned() {
        for parameter in owned {
            if let Some(part) = of(parameter) {
                let whole = worker.gather(stage, parameter, &part)?;
                assert_eq!(whole.shape(), parameter.whole_shape());
                all.insert(parameter.name().to_owned(), flat(&whole));
            }
        }
    }
    Ok(all)
}

/// What a pipeline trains on: another number of rows and another weight for each.
pub(crate) fn own_batch(pipeline: usize, step: usize) -> Batch {
    batch(5 + 2 * pipeline + step).with_loss_scale(0.25 + 0.1 * (pipeline as f64 - step as f64))
}

const NUM_UPDATES: usize = 3;

/// The batches that an update follows on a pipeline, the last of them not with more to come.
fn batches(pipeline: usize, update: usize) -> Vec<Batch> {
    let steps = [&[0][..], &[1, 2], &[3]][update];
    steps.iter().map(|&step| own_batch(pipeline, step)).collect()
}

fn optimizer() -> Optimizer {
    let config = SgdConfig { momentum: 0.8, weight_decay: 0.02, ..SgdConfig::default() };
    Optimizer::new(config, Vec::new()).unwrap()
}

/// What is left of a training run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trained {
    pub(crate) losses: Vec<f64>,
    pub(crate) first_grads: Numbers,
    pub(crate) weights: Numbers,
    pub(crate) momenta: Numbers,
}

pub(crate) fn is_as_between_steps(worker: &Worker, how: How) -> bool {
    let owned: Vec<&Parameter> = worker.owned().flat_map(|(_, owned)| owned).collect();
    let wholes = worker.stages().flat_map(|(_, parameters)| parameters);
    let num_stages = worker.programs().train.num_stages();
    wholes.zip(owned).all(|(whole, own)| {
        let is_shared = how.num_sharing.is_some() && !is_tied(num_stages, own.name());
        own.is_slice() == is_shared && whole.is_released() == is_shared && !own.is_released()
    })
}

/// Whether several of the stages have a copy.
fn is_tied(num_stages: usize, name: &str) -> bool {
    let copies = ties(num_stages).into_iter().flat_map(|tie| tie.copies);
    copies.flat_map(|(_, names)| names).any(|known| known == name)
}

pub(crate) fn train(worker: &mut Worker, pipeline: usize) -> Result<Trained, Error> {
    let mut optimizer = optimizer();
    let (mut losses, mut first_grads) = (Vec::new(), Numbers::new());
    for update in 0..NUM_UPDATES {
        let mut batches = batches(pipeline, update);
        let last = batches.pop().unwrap();
        for batch in &batches {
            worker.step_with(batch, MORE)?;
        }
        losses.push(worker.eval(&last)?.loss());
        losses.push(worker.step(&last)?.loss());
        if update == 0 {
            first_grads = gathered(worker, Parameter::grad)?;
        }
        for (_, owned) in worker.owned() {
            optimizer.step(owned, 0.02).unwrap();
        }
        worker.zero_grad();
        assert!(worker.owned().flat_map(|(_, owned)| owned).all(|p| p.grad().is_none()));
    }
    losses.push(worker.eval(&own_batch(pipeline, 0))?.loss());
    let weights = gathered(worker, |p| Some(p.value().detach()))?;
    let momenta = gathered(worker, |p| {
        Some(optimizer.state(p.name()).unwrap()?.tensors["momentum_buffer"].clone())
    })?;
    Ok(Trained { losses, first_grads, weights, momenta })
}

/// The same of the network in one piece, which has all batches.
pub(crate) fn expected(num_pipelines: usize) -> Trained {
    let net = net(0..NUM_LAYERS);
    let loss_of = |batch: &Batch| {
        let outputs = net.forward(batch.inputs[0].tensors(), &Keywords::new()).unwrap();
        let target = &batch.target.as_ref().unwrap().tensors()[0];
        (loss()(&outputs, target).unwrap() * batch.loss_scale).unwrap()
    };
    let scalar = |loss: &Tensor| loss.to_scalar::<f64>().unwrap();
    let mut optimizer = optimizer();
    let (mut losses, mut first_grads) = (Vec::new(), Numbers::new());
    for update in 0..NUM_UPDATES {
        for pipeline in 0..num_pipelines {
            for batch in batches(pipeline, update) {
                net.parameters().collect(&mut loss_of(&batch).backward().unwrap()).unwrap();
            }
        }
        let of_first = scalar(&loss_of(&batches(0, update).pop().unwrap()));
        losses.extend([of_first, of_first]);
        if update == 0 {
            first_grads = grads([net.parameters()]);
        }
        optimizer.step(net.parameters(), 0.02).unwrap();
        net.parameters().zero_grad();
    }
    losses.push(scalar(&loss_of(&own_batch(0, 0))));
    let of = |of: &dyn Fn(&Parameter) -> Tensor| -> Numbers {
        net.parameters().iter().map(|p| (p.name().to_owned(), flat(&of(p)))).collect()
    };
    let state = |p: &Parameter| optimizer.state(p.name()).unwrap().unwrap();
    Trained {
        losses,
        first_grads,
        weights: of(&|p| p.value().clone()),
        momenta: of(&|p| state(p).tensors["momentum_buffer"].clone()),
    }
}

/// What the ranks of each pipeline have, as one network would.
pub(crate) fn trained(plan: &Plan, how: How) -> Vec<Trained> {
    let programs = programs(plan, &lowering(plan, how));
    let ranks = run(
        &programs,
        how,
        |_, layers| net(layers),
        |worker, pipeline| {
            assert!(is_as_between_steps(worker, how));
            let trained = train(worker, pipeline)?;
            assert!(is_as_between_steps(worker, how));
            Ok(trained)
        },
    )
    .unwrap();
    let pipelines = ranks.chunks(plan.num_ranks()).map(|ranks| {
        let all = |of: fn(&Trained) -> &Numbers| {
            merged(ranks.iter().map(|rank| of(rank).clone()).collect())
        };
        Trained {
            losses: ranks[0].losses.clone(),
            first_grads: all(|rank| &rank.first_grads),
            weights: all(|rank| &rank.weights),
            momenta: all(|rank| &rank.momenta),
        }
    });
    pipelines.collect()
}

#[track_caller]
pub(crate) fn assert_trains(plan: &Plan, how: How) -> Vec<Trained> {
    let what = format!("{} ranks, {how:?}", plan.num_ranks());
    let pipelines = trained(plan, how);
    let right = expected(how.num_pipelines());
    for (got, right) in pipelines[0].losses.iter().zip(&right.losses) {
        assert!((got - right).abs() <= 1e-12 * right.abs(), "{what}: loss {got} for {right}");
    }
    for (name, got, right) in [
        ("gradients", &pipelines[0].first_grads, &right.first_grads),
        ("weights", &pipelines[0].weights, &right.weights),
        ("momenta", &pipelines[0].momenta, &right.momenta),
    ] {
        compare(&format!("{what}, {name}"), &(1.0, got.clone()), &(1.0, right.clone()));
    }
    for other in &pipelines {
        let same = Trained { losses: pipelines[0].losses.clone(), ..other.clone() };
        assert_eq!(same, pipelines[0], "{what}: all pipelines have the same bits");
    }
    pipelines
}

/// The same, to the bit what replicas learn.
#[track_caller]
pub(crate) fn assert_trains_as_replicas(plan: &Plan, how: How) {
    let (shared, replicated) = (assert_trains(plan, how), trained(plan, how.replicated()));
    assert_eq!(shared, replicated, "{} ranks, {how:?}", plan.num_ranks());
}

pub(crate) fn zbv() -> Plan {
    let extent = Extent { num_ranks: 2, stages_per_rank: 2, num_microbatches: 4 };
    generate(Kind::ZbvZeroBubble, &extent).unwrap()
}
