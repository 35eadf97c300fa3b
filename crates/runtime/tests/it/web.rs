//! A network whose tensors go past modules, to several of them and in several types; cut anywhere.

use std::collections::BTreeMap;

use autopipe_nn::{Linear, Parameters};
use autopipe_runtime::{
    Batch, Communicator, Error, Guard, InputValue, Keywords, Programs, StageModel, ThreadOptions,
    Worker, WorkerParts, threads,
};
use autopipe_schedule::{Rank, Stage};
use autopipe_splitter::{
    Cost, Dim, ElementType, Module, ModuleGraph, ParameterSpec, Partition, Role, Routes,
    TensorSpec, routes, split_explicit,
};
use candle_core::{DType, Device, Result, Tensor};

use crate::net::{Outcome, WIDTH, grads, loss};

/// What a module makes beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Made {
    Hidden,
    /// Where the module's input is positive: integers, which have no gradient.
    Signs,
    Skip,
    Squares,
}

/// A tensor: the module that makes it, and which of its tensors it is.
pub(crate) type Key = (usize, Made);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Trained,
    Frozen,
    None,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// From earlier modules; the first module takes the batch's input.
    pub(crate) takes: Vec<Key>,
    pub(crate) weight: Weight,
    /// Whether it uses the keyword inputs `scale` and `mask`.
    pub(crate) keywords: bool,
}

/// All modules, in order.
#[derive(Clone, Debug)]
pub(crate) struct Web(pub(crate) Vec<Node>);

fn name(module: usize) -> String {
    format!("m{module}")
}

impl Web {
    pub(crate) fn graph(&self) -> ModuleGraph {
        let mut graph = ModuleGraph::new();
        for (i, node) in self.0.iter().enumerate() {
            let weight = ParameterSpec {
                trainable: node.weight == Weight::Trained,
                ..ParameterSpec::new(format!("m{i}.weight"), [WIDTH, WIDTH])
            };
            let module = Module {
                name: name(i),
                parameters: if node.weight == Weight::None { Vec::new() } else { vec![weight] },
                submodules: Vec::new(),
                role: Role::Layer,
                flops: Cost::default(),
                activation_bytes: Cost::default().into(),
            };
            graph.add_module(module).unwrap();
        }
        for (to, node) in self.0.iter().enumerate() {
            let mut by_source: BTreeMap<usize, Vec<TensorSpec>> = BTreeMap::new();
            for &(from, made) in &node.takes {
                let dtype = if made == Made::Signs { ElementType::U32 } else { ElementType::F64 };
                let dims = vec![Dim::Batch, Dim::Fixed(WIDTH)];
                let spec = TensorSpec { name: format!("{made:?}"), dims, dtype };
                by_source.entry(from).or_default().push(spec);
            }
            for (from, tensors) in by_source {
                graph.add_edge(&name(from), &name(to), tensors).unwrap();
            }
        }
        graph
    }

    /// The modules cut before each of `starts`, of which the first is 0.
    pub(crate) fn cut(&self, starts: &[usize]) -> Partition {
        let ends = starts.iter().skip(1).copied().chain([self.0.len()]);
        let lists: Vec<Vec<String>> =
            starts.iter().zip(ends).map(|(&start, end)| (start..end).map(name).collect()).collect();
        split_explicit(&self.graph(), &lists).unwrap()
    }

    /// The whole network: loss and gradients of what candle's own backward does.
    pub(crate) fn unsplit(&self, batches: &[Batch]) -> Outcome {
        let part = Part::new(self, None, 0, 0..self.0.len());
        let mut sum = 0.0;
        for batch in batches {
            let keywords = batch.keywords.iter().map(|(name, input)| {
                let value = match input.tensors() {
                    [tensor] => InputValue::Tensor(tensor.clone()),
                    _ => InputValue::Float(SCALE),
                };
                (name.clone(), value)
            });
            let outputs = part.forward(batch.inputs[0].tensors(), &keywords.collect()).unwrap();
            let target = &batch.target.as_ref().unwrap().tensors()[0];
            let loss = (loss()(&outputs, target).unwrap() * batch.loss_scale).unwrap();
            let mut store = loss.backward().unwrap();
            part.parameters.collect(&mut store).unwrap();
            sum += loss.to_scalar::<f64>().unwrap();
        }
        (sum, grads([&part.parameters]))
    }

    /// An evaluation, a step and an evaluation over the given stages.
    pub(crate) fn pipelined(
        &self,
        programs: &Programs,
        starts: &[usize],
        options: &ThreadOptions,
        batch: &Batch,
    ) -> Outcome {
        let partition = self.cut(starts);
        let routes = routes(&self.graph(), &partition).unwrap();
        let end = |stage: usize| starts.get(stage + 1).copied().unwrap_or(self.0.len());
        let num_ranks = programs.train.num_ranks();
        let ranks = threads(num_ranks, options, |world: Box<dyn Communicator>| {
            let mine = programs.train.placement().stages_of(Rank::new(world.rank()));
            let stages = mine.iter().map(|&stage| {
                let index = stage.index();
                let part = Part::new(self, Some(&routes), index, starts[index]..end(index));
                (stage, Box::new(part) as Box<dyn StageModel>)
            });
            let parts = WorkerParts {
                programs: programs.clone(),
                stages: stages.collect(),
                routes: Some(routes.clone()),
                ties: Vec::new(),
                replicas: None,
                sharded: None,
                tensor_parallel: None,
                trained_from: Stage::new(partition.trained_from().unwrap()),
                loss: loss(),
                scale_grads: false,
                guard: Guard::default(),
            };
            let mut worker = Worker::new(world, parts)?;
            let before = worker.eval(batch)?;
            assert!(grads(worker.stages().map(|(_, part)| part)).is_empty());
            let output = worker.step(batch)?;
            let outcome = grads(worker.stages().map(|(_, part)| part));
            let after = worker.eval(batch)?;
            assert_eq!(before.losses, output.losses);
            assert_eq!(after.losses, output.losses);
            assert_eq!(outcome, grads(worker.stages().map(|(_, part)| part)));
            Ok::<_, Error>((output.loss(), outcome))
        })
        .unwrap();
        assert!(ranks.iter().all(|rank| rank.0 == ranks[0].0), "every rank has the same loss");
        (ranks[0].0, ranks.into_iter().flat_map(|rank| rank.1).collect())
    }
}

/// What `scale` is in every batch that has it.
pub(crate) const SCALE: f64 = 0.8;

/// Some modules of the network in a row.
struct Part {
    range: std::ops::Range<usize>,
    nodes: Vec<Node>,
    takes: Vec<Key>,
    makes: Vec<Key>,
    weights: Vec<Option<Linear>>,
    is_last: bool,
    parameters: Parameters,
}

impl Part {
    /// What a stage takes and makes is in the order of its boundaries.
    fn new(
        web: &Web,
        routes: Option<&Routes>,
        stage: usize,
        range: std::ops::Range<usize>,
    ) -> Self {
        let boundary = |at: usize| -> Vec<Key> {
            let tensors = routes.and_then(|routes| routes.boundaries().get(at));
            let key = |tensor: &autopipe_splitter::RoutedTensor| {
                let from = tensor.from[1..].parse().unwrap();
                let all = [Made::Hidden, Made::Signs, Made::Skip, Made::Squares];
                let made = all.into_iter().find(|m| format!("{m:?}") == tensor.tensor.name);
                (from, made.unwrap())
            };
            tensors.map(|tensors| tensors.iter().map(key).collect()).unwrap_or_default()
        };
        let takes = match (routes, stage.checked_sub(1)) {
            (Some(routes), Some(before)) => {
                routes.stages()[stage].used.iter().map(|&at| boundary(before)[at]).collect()
            }
            _ => Vec::new(),
        };
        let makes = boundary(stage).into_iter().filter(|key| range.contains(&key.0)).collect();
        let mut parameters = Parameters::new();
        let nodes = web.0[range.clone()].to_vec();
        let weights = range.clone().zip(&nodes).map(|(i, node)| {
            let values: Vec<f64> =
                (0..WIDTH * WIDTH).map(|n| ((n * 5 + i * 11) as f64).sin() * 0.6).collect();
            let value = Tensor::from_vec(values, (WIDTH, WIDTH), &Device::Cpu).unwrap();
            let trainable = match node.weight {
                Weight::None => return None,
                Weight::Trained => true,
                Weight::Frozen => false,
            };
            let weight = parameters.add(&format!("m{i}.weight"), value, trainable).unwrap();
            Some(Linear::new(weight, None).unwrap())
        });
        let weights = weights.collect();
        let is_last = range.end == web.0.len();
        Self { range, nodes, takes, makes, weights, is_last, parameters }
    }
}

impl StageModel for Part {
    fn forward(&self, inputs: &[Tensor], keywords: &Keywords) -> Result<Vec<Tensor>> {
        let is_first = self.range.start == 0;
        assert_eq!(inputs.len(), if is_first { 1 } else { self.takes.len() });
        let mut known: BTreeMap<Key, Tensor> =
            self.takes.iter().copied().zip(inputs.iter().cloned()).collect();
        let mut last = None;
        for ((i, node), weight) in self.range.clone().zip(&self.nodes).zip(&self.weights) {
            let mut x = if i == 0 { Some(inputs[0].clone()) } else { None };
            for key in &node.takes {
                let tensor = known[key].to_dtype(DType::F64)?;
                x = Some(match x {
                    None => tensor,
                    Some(x) => ((x * 0.5)? + tensor)?,
                });
            }
            let x = x.expect("every module takes something");
            let mut hidden = match weight {
                Some(weight) => weight.forward(&x)?,
                None => (&x * 1.1)?,
            }
            .tanh()?;
            if node.keywords {
                if let Some(InputValue::Float(scale)) = keywords.get("scale") {
                    hidden = (hidden * *scale)?;
                }
                if let Some(mask) = keywords.tensor("mask")? {
                    // Two numbers for each row of the batch.
                    let mask = (mask.get(0)? + mask.get(1)?)?;
                    let dims =
                        (0..hidden.rank()).map(|dim| if dim == 0 { mask.elem_count() } else { 1 });
                    hidden = hidden.broadcast_mul(&mask.reshape(dims.collect::<Vec<_>>())?)?;
                }
            }
            known.insert((i, Made::Signs), x.ge(0.0)?.to_dtype(DType::U32)?);
            known.insert((i, Made::Skip), (&hidden * &x)?);
            known.insert((i, Made::Squares), hidden.sqr()?);
            known.insert((i, Made::Hidden), hidden.clone());
            last = Some(hidden);
        }
        if self.is_last {
            return Ok(vec![last.expect("a stage has a module")]);
        }
        Ok(self.makes.iter().map(|key| known[key].clone()).collect())
    }

    fn keywords(&self) -> &[&str] {
        &["mask", "scale"]
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}
