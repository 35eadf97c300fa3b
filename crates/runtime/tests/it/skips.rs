//! Tensors that go past stages, to several stages, and are of several types: losses and gradients
//! equal the unsplit network's.

use std::collections::BTreeMap;

use autopipe_nn::Parameters;
use autopipe_runtime::{
    Batch, Communicator, Error, Guard, StageModel, ThreadOptions, Worker, WorkerParts, threads,
};
use autopipe_schedule::{Extent, Kind, Plan, Rank, generate};
use autopipe_splitter::{
    Cost, Dim, ElementType, Module, ModuleGraph, ParameterSpec, Role, Routes, TensorSpec, routes,
    split_even,
};
use candle_core::{DType, Device, Result, Tensor};

use crate::net::{Outcome, WIDTH, batch, grads, loss, programs};

/// By the module that makes it and its name.
type Key = (&'static str, &'static str);

/// What each module takes, in order, and what it makes.
const MODULES: [(&str, &[Key], &[&str]); 5] = [
    ("m0", &[], &["hidden", "signs", "skip"]),
    ("m1", &[("m0", "hidden")], &["hidden"]),
    ("m2", &[("m0", "signs"), ("m1", "hidden")], &["hidden", "unused"]),
    ("m3", &[("m1", "hidden"), ("m2", "hidden")], &["hidden"]),
    ("m4", &[("m0", "signs"), ("m0", "skip"), ("m3", "hidden"), ("m2", "unused")], &[]),
];

fn graph() -> ModuleGraph {
    let mut graph = ModuleGraph::new();
    for (name, ..) in MODULES {
        graph
            .add_module(Module {
                name: name.to_owned(),
                parameters: vec![ParameterSpec::new(format!("{name}.weight"), [WIDTH, WIDTH])],
                submodules: Vec::new(),
                role: Role::Layer,
                flops: Cost::default(),
                activation_bytes: Cost::default(),
            })
            .unwrap();
    }
    for (to, takes, _) in MODULES {
        let mut by_source: BTreeMap<&str, Vec<TensorSpec>> = BTreeMap::new();
        for (from, tensor) in takes {
            let dtype = if *tensor == "signs" { ElementType::U32 } else { ElementType::F64 };
            let dims = vec![Dim::Batch, Dim::Fixed(WIDTH)];
            let spec = TensorSpec { name: (*tensor).to_owned(), dims, dtype };
            by_source.entry(from).or_default().push(spec);
        }
        for (from, tensors) in by_source {
            graph.add_edge(from, to, tensors).unwrap();
        }
    }
    graph
}

/// Modules `first..end` of the network.
struct Part {
    first: usize,
    end: usize,
    takes: Vec<Key>,
    makes: Vec<Key>,
    parameters: Parameters,
}

impl Part {
    /// The modules of a stage; what it takes and makes is in the order of its boundaries.
    fn new(routes: &Routes, stage: usize, range: std::ops::Range<usize>) -> Self {
        let key = |tensor: &autopipe_splitter::RoutedTensor| {
            let (name, ..) = MODULES.into_iter().find(|(name, ..)| *name == tensor.from).unwrap();
            let all = MODULES.into_iter().flat_map(|(_, takes, _)| takes.iter());
            let (_, tensor) =
                all.into_iter().find(|key| **key == (name, tensor.tensor.name.as_str())).unwrap();
            (name, *tensor)
        };
        let boundary = |at: usize| routes.boundaries().get(at).map_or(&[][..], Vec::as_slice);
        let takes = match stage.checked_sub(1) {
            None => Vec::new(),
            Some(before) => {
                routes.stages()[stage].used.iter().map(|&at| key(&boundary(before)[at])).collect()
            }
        };
        let made = |key: &Key| range.clone().any(|i| MODULES[i].0 == key.0);
        let makes = boundary(stage).iter().map(key).filter(made).collect();
        let mut parameters = Parameters::new();
        for i in range.clone() {
            let values = (0..WIDTH * WIDTH).map(|n| ((n * 5 + i * 11) as f64).sin() * 0.6);
            let values: Vec<f64> = values.collect();
            let weight = Tensor::from_vec(values, (WIDTH, WIDTH), &Device::Cpu).unwrap();
            parameters.add(&format!("{}.weight", MODULES[i].0), weight, true).unwrap();
        }
        Self { first: range.start, end: range.end, takes, makes, parameters }
    }
}

impl StageModel for Part {
    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut known: BTreeMap<Key, Tensor> = BTreeMap::new();
        let mut x = inputs[0].clone();
        assert_eq!(inputs.len(), if self.first == 0 { 1 } else { self.takes.len() });
        known.extend(self.takes.iter().copied().zip(inputs.iter().cloned()));
        let mut result = None;
        for (i, weight) in (self.first..self.end).zip(self.parameters.iter()) {
            let (name, takes, makes) = MODULES[i];
            let taken: Vec<&Tensor> = takes.iter().map(|key| &known[key]).collect();
            for (number, tensor) in taken.iter().enumerate() {
                let tensor = tensor.to_dtype(DType::F64)?;
                x = if number == 0 { tensor } else { (x * 0.5)?.add(&tensor)? };
            }
            let hidden = x.matmul(weight.value())?.tanh()?;
            for make in makes {
                let tensor = match *make {
                    "signs" => x.ge(0.0)?.to_dtype(DType::U32)?,
                    "skip" => (&hidden * &x)?,
                    "unused" => hidden.sqr()?,
                    _ => hidden.clone(),
                };
                known.insert((name, make), tensor);
            }
            result = Some(hidden);
        }
        if self.end == MODULES.len() {
            return Ok(vec![result.unwrap()]);
        }
        Ok(self.makes.iter().map(|key| known[key].clone()).collect())
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}

/// A step over as many stages as the schedule has, and an evaluation after it.
fn run(plan: &Plan, batch: &Batch) -> Outcome {
    let graph = graph();
    let num_stages = plan.num_stages();
    let partition = split_even(&graph, num_stages).unwrap();
    let routes = routes(&graph, &partition).unwrap();
    let programs = programs(plan);
    let ends: Vec<usize> = partition
        .stages()
        .iter()
        .scan(0, |end, stage| {
            *end += stage.modules().len();
            Some(*end)
        })
        .collect();
    let ranks =
        threads(plan.num_ranks(), &ThreadOptions::default(), |world: Box<dyn Communicator>| {
            let mine = plan.placement().stages_of(Rank::new(world.rank()));
            let stages = mine.iter().map(|&stage| {
                let index = stage.index();
                let start = index.checked_sub(1).map_or(0, |before| ends[before]);
                let part = Part::new(&routes, index, start..ends[index]);
                (stage, Box::new(part) as Box<dyn StageModel>)
            });
            let parts = WorkerParts {
                programs: programs.clone(),
                stages: stages.collect(),
                routes: Some(routes.clone()),
                loss: loss(),
                scale_grads: false,
                guard: Guard::default(),
            };
            let mut worker = Worker::new(world, parts)?;
            let output = worker.step(batch)?;
            let evaluated = worker.eval(batch)?;
            assert_eq!(evaluated.loss(), output.loss());
            Ok::<_, Error>((output.loss(), grads(worker.stages().map(|(_, part)| part))))
        })
        .unwrap();
    (ranks[0].0, ranks.into_iter().flat_map(|rank| rank.1).collect())
}

fn plan(kind: Kind, num_ranks: usize, stages_per_rank: usize) -> Plan {
    generate(kind, &Extent { num_ranks, stages_per_rank, num_microbatches: 4 }).unwrap()
}

#[test]
fn tensors_past_stages_bring_the_unsplit_gradients() {
    let batch = batch(10);
    let unsplit = run(&plan(Kind::GPipe, 1, 1), &batch);
    assert!(unsplit.1.values().all(|grad| grad.iter().any(|value| value.abs() > 1e-6)));
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
        crate::gradients::compare(
            &what,
            &run(&plan(kind, num_ranks, stages_per_rank), &batch),
            &unsplit,
        );
    }
}

#[test]
fn a_stage_that_makes_too_little_is_told_what_is_missing() {
    struct Short(Parameters);
    impl StageModel for Short {
        fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
            Ok(vec![inputs[0].clone()])
        }
        fn parameters(&self) -> &Parameters {
            &self.0
        }
    }
    let graph = graph();
    let routes = routes(&graph, &split_even(&graph, 5).unwrap()).unwrap();
    let programs = programs(&plan(Kind::GPipe, 5, 1));
    let error = threads(5, &ThreadOptions::default(), |world: Box<dyn Communicator>| {
        let mine = programs.train.placement().stages_of(Rank::new(world.rank()));
        let short = |_| Box::new(Short(Parameters::new())) as Box<dyn StageModel>;
        let parts = WorkerParts {
            programs: programs.clone(),
            stages: mine.iter().map(|&stage| (stage, short(stage))).collect(),
            routes: Some(routes.clone()),
            loss: loss(),
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
