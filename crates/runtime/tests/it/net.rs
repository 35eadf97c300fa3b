//! A small network of plain candle operations, cut into stages, and what it should compute.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use autopipe_nn::{Linear, Parameter, Parameters};
use autopipe_runtime::{
    Batch, Communicator, Error, Guard, Keywords, LossFn, Programs, StageModel, ThreadOptions,
    Worker, WorkerParts, threads,
};
use autopipe_schedule::{Extent, Kind, Plan, Rank, Stage, generate, lower, validate};
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor};

pub(crate) const WIDTH: usize = 4;

/// Residual blocks `x + tanh(x w^T) * g`: the matrix is a layer whose gradient waits, the gain is left
/// to candle's graph.
pub(crate) struct Block {
    layers: Vec<(Linear, Tensor)>,
    parameters: Parameters,
    fail: Option<Fail>,
}

/// A fault to put into a stage.
#[derive(Clone, Copy)]
pub(crate) enum Fail {
    /// Every forward returns an error.
    Error,
    /// Every forward panics.
    Panic,
    /// The gradient of the input cannot be computed.
    Input,
    /// The gradient of a weight that was put off cannot be computed.
    Weight,
    /// Every forward takes this long.
    Late(Duration),
}

impl Block {
    /// The given layers of the network; their weights depend on the layer only.
    pub(crate) fn new(layers: std::ops::Range<usize>, trainable: bool) -> Self {
        let mut parameters = Parameters::new();
        let layers = layers
            .map(|layer| {
                let values = |n: usize, phase: f64| -> Vec<f64> {
                    (0..n).map(|i| ((i * 7 + layer * 13) as f64 + phase).sin() * 0.7).collect()
                };
                let weight =
                    Tensor::from_vec(values(WIDTH * WIDTH, 0.3), (WIDTH, WIDTH), &Device::Cpu)
                        .unwrap();
                let gain = Tensor::from_vec(values(WIDTH, 1.1), WIDTH, &Device::Cpu).unwrap();
                let weight = parameters.add(&format!("{layer}.weight"), weight, trainable).unwrap();
                let gain = parameters.add(&format!("{layer}.gain"), gain, trainable).unwrap();
                (Linear::new(weight, None).unwrap(), gain.value().clone())
            })
            .collect();
        Self { layers, parameters, fail: None }
    }

    pub(crate) fn failing(self, fail: Fail) -> Self {
        Self { fail: Some(fail), ..self }
    }
}

/// The identity, whose gradient cannot be computed, or that of a weight whose gradient it puts off.
struct NoGradient(Option<Parameter>);

impl CustomOp1 for NoGradient {
    fn name(&self) -> &'static str {
        "no-gradient"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let values = storage.as_slice::<f64>()?[..layout.shape().elem_count()].to_vec();
        Ok((CpuStorage::F64(values), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let Some(weight) = &self.0 else { candle_core::bail!("the gradient is lost") };
        weight.defer(|_| candle_core::bail!("the weight is stuck"))?;
        Ok(Some(grad.clone()))
    }
}

impl Block {
    fn forward_into_failure(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let (linear, _) = &self.layers[0];
        let weight = matches!(self.fail, Some(Fail::Weight)).then(|| linear.weight().clone());
        Ok(vec![linear.forward(&inputs[0])?.apply_op1(NoGradient(weight))?])
    }
}

impl StageModel for Block {
    fn forward(&self, inputs: &[Tensor], _: &Keywords) -> Result<Vec<Tensor>> {
        match self.fail {
            Some(Fail::Error) => candle_core::bail!("the stage is broken"),
            Some(Fail::Late(time)) => {
                // Nobody ever sends: the wait is all there is to it.
                let (_sender, receiver) = std::sync::mpsc::channel::<()>();
                let _ = receiver.recv_timeout(time);
            }
            Some(Fail::Input | Fail::Weight) => return self.forward_into_failure(inputs),
            #[expect(clippy::panic, reason = "the fault that the tests look at")]
            Some(Fail::Panic) => panic!("the stage has gone mad"),
            None => {}
        }
        let mut x = inputs[0].clone();
        for (linear, gain) in &self.layers {
            x = (&x + linear.forward(&x)?.tanh()?.broadcast_mul(gain)?)?;
        }
        Ok(vec![x])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}

pub(crate) fn loss() -> LossFn {
    Arc::new(|outputs, target| (&outputs[0] - target)?.sqr()?.sum_all())
}

pub(crate) fn batch(rows: usize) -> Batch {
    let values = |phase: f64| -> Vec<f64> {
        (0..rows * WIDTH).map(|i| (i as f64 * 0.37 + phase).cos()).collect()
    };
    let tensor = |phase| Tensor::from_vec(values(phase), (rows, WIDTH), &Device::Cpu).unwrap();
    Batch::new(tensor(0.0), tensor(2.0)).with_loss_scale(0.25)
}

/// Loss and gradients by name.
pub(crate) type Outcome = (f64, BTreeMap<String, Vec<f64>>);

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

pub(crate) fn grads<'a>(
    parameters: impl IntoIterator<Item = &'a Parameters>,
) -> BTreeMap<String, Vec<f64>> {
    parameters
        .into_iter()
        .flat_map(|set| set.iter())
        .filter_map(|p| Some((p.name().to_owned(), flat(&p.grad()?))))
        .collect()
}

/// Loss of the last batch and gradients of all, of a network on one rank.
pub(crate) fn whole(net: &dyn StageModel, batches: &[Batch]) -> Outcome {
    let mut last = 0.0;
    for batch in batches {
        let outputs = net.forward(batch.inputs[0].tensors(), &Keywords::new()).unwrap();
        let target = &batch.target.as_ref().unwrap().tensors()[0];
        let loss = (loss()(&outputs, target).unwrap() * batch.loss_scale).unwrap();
        net.parameters().collect(&mut loss.backward().unwrap()).unwrap();
        last = loss.to_scalar::<f64>().unwrap();
    }
    (last, grads([net.parameters()]))
}

/// The whole network on the whole batch, in candle's own way.
pub(crate) fn unsplit(num_layers: usize, batch: &Batch) -> Outcome {
    let net = Block::new(0..num_layers, true);
    let outputs = net.forward(batch.inputs[0].tensors(), &Keywords::new()).unwrap();
    let loss = (loss()(&outputs, &batch.target.as_ref().unwrap().tensors()[0]).unwrap()
        * batch.loss_scale)
        .unwrap();
    let mut store = loss.backward().unwrap();
    net.parameters().collect(&mut store).unwrap();
    (loss.to_scalar().unwrap(), grads([net.parameters()]))
}

/// The first layer of each of `num_stages` stages, uneven on purpose when it does not divide.
pub(crate) fn layers_of(
    num_layers: usize,
    num_stages: usize,
    stage: usize,
) -> std::ops::Range<usize> {
    num_layers * stage / num_stages..num_layers * (stage + 1) / num_stages
}

pub(crate) fn programs(plan: &Plan) -> Programs {
    let valid = |plan: &Plan| Arc::new(validate(lower(plan)).unwrap());
    Programs { train: valid(plan), eval: valid(&plan.forward_only()) }
}

pub(crate) fn named(kind: Kind, num_ranks: usize, num_microbatches: usize) -> Plan {
    generate(kind, &Extent { num_ranks, stages_per_rank: 1, num_microbatches }).unwrap()
}

/// A rank's parts, of a chain of stages that share nothing and are all trained.
pub(crate) fn plain_parts(
    programs: &Programs,
    stages: BTreeMap<Stage, Box<dyn StageModel>>,
) -> WorkerParts {
    WorkerParts {
        programs: programs.clone(),
        stages,
        routes: None,
        ties: Vec::new(),
        replicas: None,
        sharded: None,
        tensor_parallel: None,
        trained_from: Stage::new(0),
        loss: loss(),
        scale_grads: false,
        guard: Guard::default(),
    }
}

/// Runs `body` on every rank with its worker.
pub(crate) fn run<T: Send>(
    plan: &Plan,
    num_layers: usize,
    make: impl Fn(usize, std::ops::Range<usize>) -> Block + Sync,
    body: impl Fn(&mut Worker) -> std::result::Result<T, Error> + Sync,
) -> std::result::Result<Vec<T>, autopipe_runtime::RankError<Error>> {
    run_with(&ThreadOptions::default(), plan, num_layers, make, body)
}

/// The same with options of its own.
pub(crate) fn run_with<T: Send>(
    options: &ThreadOptions,
    plan: &Plan,
    num_layers: usize,
    make: impl Fn(usize, std::ops::Range<usize>) -> Block + Sync,
    body: impl Fn(&mut Worker) -> std::result::Result<T, Error> + Sync,
) -> std::result::Result<Vec<T>, autopipe_runtime::RankError<Error>> {
    run_programs(options, &programs(plan), num_layers, make, body)
}

/// The same of programs that were lowered elsewhere.
pub(crate) fn run_programs<T: Send>(
    options: &ThreadOptions,
    programs: &Programs,
    num_layers: usize,
    make: impl Fn(usize, std::ops::Range<usize>) -> Block + Sync,
    body: impl Fn(&mut Worker) -> std::result::Result<T, Error> + Sync,
) -> std::result::Result<Vec<T>, autopipe_runtime::RankError<Error>> {
    let (num_ranks, num_stages) = (programs.train.num_ranks(), programs.train.num_stages());
    threads(num_ranks, options, |world: Box<dyn Communicator>| {
        let stages = programs
            .train
            .placement()
            .stages_of(Rank::new(world.rank()))
            .iter()
            .map(|&stage: &Stage| {
                let layers = layers_of(num_layers, num_stages, stage.index());
                (stage, Box::new(make(stage.index(), layers)) as Box<dyn StageModel>)
            })
            .collect();
        let mut worker = Worker::new(world, plain_parts(programs, stages))?;
        body(&mut worker)
    })
}
