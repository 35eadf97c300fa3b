//! All cuts of small graphs, each built as a partition and evaluated: the second opinion.

use proptest::prelude::*;

use super::*;
use crate::{RoutedTensor, routes, split_explicit};

/// A small graph, and what a step on it takes.
#[derive(Clone, Debug)]
struct Case {
    /// Seconds, numbers of parameters, bytes kept.
    modules: Vec<(u32, usize, u64)>,
    /// Bytes of what the chain passes on, by source.
    tensors: Vec<usize>,
    /// Edges past other modules: from, how many further, bytes.
    skips: Vec<(usize, usize, usize)>,
    /// A module that shares its parameter with an earlier one.
    tied: Option<(usize, usize)>,
    /// Seconds of a module on every stage.
    every: Option<u32>,
    ranks: Vec<usize>,
    num_microbatches: usize,
    latency: u32,
    held: Vec<usize>,
    limit: Option<u32>,
}

impl Case {
    fn build(&self) -> (ModuleGraph, StepModel) {
        let num_modules = self.modules.len();
        let name = |i: usize| format!("m.{i}");
        let mut graph = ModuleGraph::new();
        let mut times = BTreeMap::new();
        for (i, &(time, numbers, kept)) in self.modules.iter().enumerate() {
            let mut module = module(&name(i), Role::Layer, numbers, kept);
            if let Some((copy, owner)) = self.tied
                && copy == i
            {
                let owner = &self.modules[owner];
                module.parameters[0].shape = vec![owner.1];
                module.parameters[0].shared_with =
                    Some(format!("m.{}.weight", self.tied.unwrap().1));
            }
            graph.add_module(module).unwrap();
            times.insert(name(i), f64::from(time));
        }
        if let Some(time) = self.every {
            graph.add_module(module("every", Role::EveryStage, 0, 3)).unwrap();
            times.insert("every".to_owned(), f64::from(time));
        }
        for i in 0..num_modules - 1 {
            let tensors = vec![tensor("x", 4 * self.tensors[i])];
            graph.add_edge(&name(i), &name(i + 1), tensors).unwrap();
        }
        for (nth, &(from, further, bytes)) in self.skips.iter().enumerate() {
            let to = from + 2 + further;
            if to < num_modules {
                // Maybe the same tensor as the chain's, maybe another one; ids have no gradient.
                let mut spec = tensor(["x", "skip", "ids"][nth % 3], 4 * bytes);
                if nth % 3 == 0 {
                    spec = tensor("x", 4 * self.tensors[from]);
                } else if nth % 3 == 2 {
                    spec.dtype = ElementType::U32;
                }
                // The same edge twice is refused, and does not matter here.
                drop(graph.add_edge(&name(from), &name(to), vec![spec]));
            }
        }
        let mut model = model(times, &self.ranks, self.num_microbatches);
        model.link = Link { bytes_per_second: 2.0, latency: f64::from(self.latency) };
        model.memory.held = self.held.clone();
        if let Some(limit) = self.limit {
            model.memory.limits = MemoryLimits::Each(f64::from(limit));
        }
        (graph, model)
    }
}

/// The shortest step of all cuts that fit, and the least memory with which one would.
fn all_cuts(graph: &ModuleGraph, model: &StepModel) -> (Option<f64>, f64) {
    let names: Vec<String> = (graph.modules())
        .filter(|module| module.role == Role::Layer)
        .map(|module| module.name.clone())
        .collect();
    let (mut shortest, mut least) = (None::<f64>, f64::INFINITY);
    let mut ends: Vec<usize> = (1..=model.ranks.len()).collect();
    ends[model.ranks.len() - 1] = names.len();
    loop {
        let mut start = 0;
        let lists: Vec<Vec<String>> = ends
            .iter()
            .map(|&end| names[std::mem::replace(&mut start, end)..end].to_vec())
            .collect();
        let partition = split_explicit(graph, &lists).unwrap();
        let prediction = evaluate(graph, &partition, model).unwrap();
        assert_eq!(sent(graph, &partition, model), prediction_sent(&prediction));
        if prediction.ranks.iter().all(RankPrediction::fits) {
            let step = prediction.step_time;
            shortest = Some(shortest.map_or(step, |other| other.min(step)));
        }
        least = least.min(prediction.ranks.iter().map(|rank| rank.bytes).fold(0.0, f64::max));
        // The next row of ends in the order of a dictionary.
        let Some(stage) = (0..ends.len() - 1).rev().find(|&stage| {
            ends[stage] + 1 < ends[stage + 1] && {
                ends[stage] + (ends.len() - 1 - stage) < names.len()
            }
        }) else {
            return (shortest, least);
        };
        ends[stage] += 1;
        for later in stage + 1..ends.len() - 1 {
            ends[later] = ends[later - 1] + 1;
        }
    }
}

/// Bytes between each stage and the next, there and back, by the ways that tensors take.
fn sent(graph: &ModuleGraph, partition: &Partition, model: &StepModel) -> Vec<f64> {
    let bytes = |crossing: &RoutedTensor| {
        let bytes = crossing.tensor.num_bytes(model.shape);
        if crossing.tensor.dtype == ElementType::F32 { 2.0 * bytes } else { bytes }
    };
    let routes = routes(graph, partition).unwrap();
    routes.boundaries().iter().map(|boundary| boundary.iter().map(bytes).sum()).collect()
}

/// The same as predicted.
fn prediction_sent(prediction: &Prediction) -> Vec<f64> {
    let stages = &prediction.stages[..prediction.stages.len() - 1];
    stages.iter().map(|stage| stage.sent_bytes).collect()
}

/// Ranks in one of the shapes that schedules have: one stage each, a V, a loop, or anything.
fn ranks() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        3 => (1..=5_usize).prop_map(|n| (0..n).collect()),
        2 => (1..=3_usize).prop_map(|n| (0..n).chain((0..n).rev()).collect()),
        1 => (1..=2_usize).prop_map(|n| (0..n).chain(0..n).collect()),
        1 => prop::collection::vec(0..2_usize, 2..=4).prop_map(|mut ranks| {
            ranks[0] = 0;
            ranks[1] = 1;
            ranks
        }),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    ranks().prop_flat_map(|ranks| {
        let num_stages = ranks.len();
        (num_stages.max(2)..=9).prop_flat_map(move |num_modules| {
            let modules = prop::collection::vec((0..9_u32, 0..6_usize, 0..5_u64), num_modules);
            let tensors = prop::collection::vec(0..6_usize, num_modules);
            let skips = prop::collection::vec((0..num_modules, 0..4_usize, 0..5_usize), 0..4);
            let tied = prop::option::of((1..num_modules).prop_flat_map(|i| (Just(i), 0..i)));
            let held = prop::collection::vec(0..4_usize, num_stages);
            let limit = prop::option::of(0..300_u32);
            let rest = (1..6_usize, 0..3_u32, held, limit, prop::option::of(0..3_u32));
            (Just(ranks.clone()), modules, tensors, skips, tied, rest).prop_map(
                |(ranks, modules, tensors, skips, tied, rest)| {
                    let (num_microbatches, latency, held, limit, every) = rest;
                    Case {
                        modules,
                        tensors,
                        skips,
                        tied,
                        every,
                        ranks,
                        num_microbatches,
                        latency,
                        held,
                        limit,
                    }
                },
            )
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_cut_is_better(case in case()) {
        let (graph, model) = case.build();
        let (shortest, least) = all_cuts(&graph, &model);
        let is_one_per_rank = case.ranks.iter().enumerate().all(|(stage, rank)| stage == *rank);
        match balance(&graph, &model) {
            Ok(balanced) => {
                let shortest = shortest.expect("found a cut that fits, where there is none");
                let step = balanced.prediction.step_time;
                // Graphs as small as these are searched to the end, whatever the placement.
                prop_assert!(balanced.is_optimal);
                prop_assert_eq!(step, shortest);
                prop_assert!(balanced.lower_bound <= shortest);
                prop_assert!(balanced.prediction.ranks.iter().all(RankPrediction::fits));
                let again = evaluate(&graph, &balanced.partition, &model).unwrap();
                prop_assert_eq!(again, balanced.prediction);
            }
            Err(error) => {
                prop_assert_eq!(shortest, None, "{}", error);
                let (BalanceError::Memory { least: told, .. } | BalanceError::NoRoom { least: told }) =
                    error
                else {
                    return Err(TestCaseError::fail("another error"));
                };
                match told {
                    LeastMemory::Exactly(bytes) => {
                        prop_assert!(is_one_per_rank);
                        prop_assert_eq!(bytes, least);
                    }
                    LeastMemory::AtMost(bytes) => prop_assert!(bytes >= least),
                }
            }
        }
    }

    #[test]
    fn the_memory_of_a_run_is_that_of_its_stage(case in case()) {
        let (graph, model) = case.build();
        let costs = Costs::new(&graph, &model).unwrap();
        for stage in 0..costs.num_stages() {
            for limit in [0.0, 50.0, 100.0, 200.0, f64::INFINITY] {
                let starts = costs.first_starts(stage, limit);
                for (end, &start) in starts.iter().enumerate() {
                    // The first start from which the run fits, counted without the window.
                    let first = (0..end).find(|&start| costs.memory(stage, start, end) <= limit);
                    prop_assert_eq!(start as usize, first.unwrap_or(end));
                }
            }
        }
    }
}
