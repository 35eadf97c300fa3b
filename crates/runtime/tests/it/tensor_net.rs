//! A network whose matrices are cut among tensor-parallel ranks, by hand, and pipelines of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use autopipe_nn::{Combine, Linear, Parameter, Parameters, Pass, TensorParallelGroup};
use autopipe_runtime::{
    Batch, Communicator, Error, Keywords, Programs, RankError, Replicas, Sharded, StageModel,
    TensorParallel, ThreadOptions, Tie, Worker, WorkerParts, threads,
};
use autopipe_schedule::lower::{Lookahead, Lowering, ReduceGrads, Sharding, lower_with};
use autopipe_schedule::{Plan, Rank, Stage, validate};
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};

use super::net::{Outcome, WIDTH, layers_of, plain_parts, whole};

/// Rows of the first matrix of a block: they do not share out evenly.
const HIDDEN: usize = 7;

/// A rank of so many, with its group.
#[derive(Clone)]
pub(crate) struct Part(pub(crate) Arc<dyn TensorParallelGroup>);

impl Part {
    /// What of `len` numbers is this rank's.
    fn range(part: Option<&Self>, len: usize) -> Range<usize> {
        let (rank, size) = part.map_or((0, 1), |part| (part.0.rank(), part.0.size()));
        len * rank / size..len * (rank + 1) / size
    }
}

/// The identity on the way where each rank has all, the sum where each has a part.
struct Meet {
    part: Part,
    sums_on: Pass,
}

impl Meet {
    fn sum(&self, tensor: &Tensor) -> Result<Tensor> {
        self.part.0.all_reduce(tensor, Combine::Sum, self.sums_on)
    }
}

impl CustomOp1 for Meet {
    fn name(&self) -> &'static str {
        "meet"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (start, end) = layout.contiguous_offsets().unwrap();
        let values = storage.as_slice::<f64>()?[start..end].to_vec();
        if self.sums_on == Pass::Backward {
            return Ok((CpuStorage::F64(values), layout.shape().clone()));
        }
        let sum = self.sum(&Tensor::from_vec(values, layout.shape(), &Device::Cpu)?)?;
        Ok((CpuStorage::F64(sum.flatten_all()?.to_vec1()?), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        match self.sums_on {
            Pass::Forward => Ok(Some(grad.clone())),
            Pass::Backward => self.sum(grad).map(Some),
        }
    }
}

/// Residual blocks `x + (tanh(x a^T) b^T) * g`, the rows of `a` and the columns of `b` being cut; and a
/// matrix `e`, before the first and behind the last, of which the rows are cut: `tanh(x e^T) e`.
pub(crate) struct CutNet {
    start: usize,
    end: usize,
    num_layers: usize,
    blocks: Vec<(Linear, Linear, Tensor)>,
    ends: Option<Parameter>,
    part: Option<Part>,
    parameters: Parameters,
}

fn matrix(rows: usize, columns: usize, phase: f64) -> Tensor {
    let values = (0..rows * columns).map(|i| ((i * 7) as f64 + phase).sin() * 0.6);
    Tensor::from_vec(values.collect::<Vec<_>>(), (rows, columns), &Device::Cpu).unwrap()
}

/// The name that the matrix of both ends has among these layers.
fn end_name(layers: &Range<usize>, num_layers: usize) -> Option<&'static str> {
    let behind_last = (layers.end == num_layers).then_some("head");
    (layers.start == 0).then_some("embed").or(behind_last)
}

impl CutNet {
    pub(crate) fn new(layers: Range<usize>, num_layers: usize, part: Option<Part>) -> Self {
        let mut parameters = Parameters::new();
        let own = Part::range(part.as_ref(), HIDDEN);
        let mut add = |name: &str, whole: Tensor, dim: usize| {
            let own = whole.narrow(dim, own.start, own.len()).unwrap();
            parameters.add(name, own.force_contiguous().unwrap(), true).unwrap()
        };
        let ends =
            end_name(&layers, num_layers).map(|name| add(name, matrix(HIDDEN, WIDTH, 0.4), 0));
        let (start, end) = (layers.start, layers.end);
        let cut = layers.clone().map(|layer| {
            let phase = layer as f64 * 1.3;
            let a = add(&format!("{layer}.a"), matrix(HIDDEN, WIDTH, phase), 0);
            let b = add(&format!("{layer}.b"), matrix(WIDTH, HIDDEN, phase + 0.5), 1);
            (a, b)
        });
        let cut: Vec<(Parameter, Parameter)> = cut.collect();
        let gain = |layer: usize| matrix(1, WIDTH, layer as f64).flatten_all().unwrap();
        let blocks = layers.zip(cut).map(|(layer, (a, b))| {
            let gain = parameters.add(&format!("{layer}.gain"), gain(layer), true).unwrap();
            let linear = |weight| Linear::new(weight, None).unwrap();
            (linear(a), linear(b), gain.value().clone())
        });
        let blocks = blocks.collect();
        Self { start, end, num_layers, blocks, ends, part, parameters }
    }

    fn meet(&self, x: &Tensor, sums_on: Pass) -> Result<Tensor> {
        let Some(part) = self.part.clone() else { return Ok(x.clone()) };
        x.contiguous()?.apply_op1(Meet { part, sums_on })
    }

    fn end(&self, x: Tensor) -> Result<Tensor> {
        let Some(matrix) = &self.ends else { return Ok(x) };
        let linear = Linear::new(matrix.clone(), None)?;
        let hidden = linear.forward(&self.meet(&x, Pass::Backward)?)?.tanh()?;
        self.meet(&hidden.matmul(matrix.value())?, Pass::Forward)
    }
}

impl StageModel for CutNet {
    fn forward(&self, inputs: &[Tensor], _: &Keywords) -> Result<Vec<Tensor>> {
        let mut x = inputs[0].clone();
        if self.start == 0 {
            x = self.end(x)?;
        }
        for (a, b, gain) in &self.blocks {
            let hidden = a.forward(&self.meet(&x, Pass::Backward)?)?.tanh()?;
            let y = self.meet(&b.forward(&hidden)?, Pass::Forward)?;
            x = (x + y.broadcast_mul(gain)?)?;
        }
        if self.end == self.num_layers {
            x = self.end(x)?;
        }
        Ok(vec![x])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}

/// The ranks that have the same stages and batches of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Replicas(usize),
    Sharing(usize),
}

/// How many ranks there are besides those of the pipeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) num_parts: usize,
    pub(crate) data: Data,
    pub(crate) num_layers: usize,
}

impl Grid {
    fn num_data(self) -> usize {
        match self.data {
            Data::Replicas(count) | Data::Sharing(count) => count,
        }
    }
}

/// Where a rank is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) data: usize,
    pub(crate) part: usize,
}

fn ties(num_stages: usize, num_layers: usize) -> Vec<Tie> {
    let name = |stage| end_name(&layers_of(num_layers, num_stages, stage), num_layers);
    let copies: BTreeMap<Stage, Vec<String>> = (0..num_stages)
        .filter_map(|stage| Some((Stage::new(stage), vec![name(stage)?.to_owned()])))
        .collect();
    if copies.len() > 1 { vec![Tie { copies }] } else { Vec::new() }
}

pub(crate) fn programs(plan: &Plan, grid: Grid) -> Programs {
    let ties = ties(plan.num_stages(), grid.num_layers);
    let sharding = Sharding { max_active_stages: 1, lookahead: Lookahead::Full };
    let lowering = Lowering {
        tied: ties.into_iter().map(|tie| tie.copies.keys().copied().collect()).collect(),
        sharding: matches!(grid.data, Data::Sharing(_)).then_some(sharding),
        reduce_grads: ReduceGrads::Immediate,
        ..Lowering::default()
    };
    let valid = |plan: &Plan| Arc::new(validate(lower_with(plan, &lowering).unwrap()).unwrap());
    Programs { train: valid(plan), eval: valid(&plan.forward_only()) }
}

/// Puts the worker of a rank together: `end` makes its end of the tensor-parallel group, and `part`
/// what its layers sum with.
pub(crate) fn worker(
    world: &dyn Communicator,
    programs: &Programs,
    grid: Grid,
    end: impl FnOnce(Box<dyn Communicator>) -> Box<dyn Communicator>,
    part: impl FnOnce(At, Arc<dyn TensorParallelGroup>) -> Arc<dyn TensorParallelGroup>,
) -> std::result::Result<(Worker, At, Arc<TensorParallel>), Error> {
    let (num_ranks, num_stages) = (programs.train.num_ranks(), programs.train.num_stages());
    let (rank, num_parts) = (world.rank(), grid.num_parts);
    let (data, place, own) =
        (rank / (num_ranks * num_parts), rank / num_parts % num_ranks, rank % num_parts);
    let at = At { data, part: own };
    let pipeline = world.split(data * num_parts + own, place)?;
    let comm = world.split(place * num_parts + own, data)?;
    let group = TensorParallel::new(end(world.split(data * num_ranks + place, own)?));
    let part = Part(part(at, Arc::clone(&group) as Arc<dyn TensorParallelGroup>));
    let stages = programs.train.placement().stages_of(Rank::new(place)).iter().map(|&stage| {
        let layers = layers_of(grid.num_layers, num_stages, stage.index());
        let net = CutNet::new(layers, grid.num_layers, Some(part.clone()));
        (stage, Box::new(net) as Box<dyn StageModel>)
    });
    let (mut replicas, mut sharded) = (None, None);
    match grid.data {
        Data::Replicas(1) => drop(comm),
        Data::Replicas(_) => replicas = Some(Replicas { comm, each_microbatch: false }),
        Data::Sharing(_) => sharded = Some(Sharded { comm, each_microbatch: true }),
    }
    let parts = WorkerParts {
        ties: ties(num_stages, grid.num_layers),
        replicas,
        sharded,
        tensor_parallel: Some(Arc::clone(&group)),
        ..plain_parts(programs, stages.collect())
    };
    Ok((Worker::new(pipeline, parts)?, at, group))
}

/// Runs `body` on every rank.
pub(crate) fn run<T: Send>(
    options: &ThreadOptions,
    plan: &Plan,
    grid: Grid,
    body: impl Fn(&mut Worker, At, &TensorParallel) -> std::result::Result<T, Error> + Sync,
) -> std::result::Result<Vec<T>, RankError<Error>> {
    let programs = programs(plan, grid);
    let num_ranks = plan.num_ranks() * grid.num_parts * grid.num_data();
    threads(num_ranks, options, |world: Box<dyn Communicator>| {
        let (mut worker, at, group) =
            worker(&*world, &programs, grid, |end| end, |_, group| group)?;
        body(&mut worker, at, &group)
    })
}

/// What `of` says of each parameter, of the tensor-parallel rank's own part and put together.
pub(crate) fn gathered(
    worker: &Worker,
    group: &TensorParallel,
    of: impl Fn(&Parameter) -> Option<Tensor>,
) -> std::result::Result<BTreeMap<String, Vec<f64>>, Error> {
    let mut all = BTreeMap::new();
    for (stage, owned) in worker.owned() {
        for parameter in owned {
            let Some(own) = of(parameter) else { continue };
            let own = worker.gather(stage, parameter, &own)?;
            let parts = group.all_gather(&own)?;
            let name = parameter.name();
            let whole = match name.rsplit('.').next() {
                Some("b") => Tensor::cat(&parts, 1).unwrap(),
                Some("gain") => own,
                _ => Tensor::cat(&parts, 0).unwrap(),
            };
            if name.ends_with("gain") {
                let bits = |t: &Tensor| t.to_vec1::<f64>().unwrap();
                assert!(parts.iter().all(|part| bits(part) == bits(&whole)), "{name} differs");
            }
            all.insert(name.to_owned(), whole.flatten_all().unwrap().to_vec1().unwrap());
        }
    }
    Ok(all)
}

/// Loss of the last batch and gradients of all, of the network on one rank.
pub(crate) fn unsplit(batches: &[Batch], num_layers: usize) -> Outcome {
    let net = CutNet::new(0..num_layers, num_layers, None);
    whole(&net, batches)
}

/// What the ranks of a pipeline have, as one network would have it.
pub(crate) fn merged(ranks: Vec<BTreeMap<String, Vec<f64>>>) -> BTreeMap<String, Vec<f64>> {
    let mut all: BTreeMap<String, Vec<f64>> = ranks.into_iter().flatten().collect();
    if let Some(copy) = all.remove("head") {
        assert_eq!(all.get("embed"), Some(&copy), "copies differ");
    }
    all
}
