//! Balanced cuts: by hand, against all cuts of small graphs, and of large ones.

mod brute_force;
mod errors;
mod large;
mod prediction;

use std::collections::BTreeMap;

use super::*;
use crate::{
    BatchShape, Cost, Dim, ElementType, Module, ModuleGraph, ParameterSpec, Role, TensorSpec,
};

/// A module of `numbers` parameters that keeps `kept` bytes.
fn module(name: &str, role: Role, numbers: usize, kept: u64) -> Module {
    let parameters = match role {
        Role::EveryStage => Vec::new(),
        Role::Layer | Role::Boundary => {
            vec![ParameterSpec::new(format!("{name}.weight"), [numbers])]
        }
    };
    Module {
        name: name.to_owned(),
        parameters,
        submodules: Vec::new(),
        role,
        flops: Cost::per_token(0),
        activation_bytes: Cost { per_sample: kept, ..Cost::default() }.into(),
    }
}

/// A tensor of so many bytes per microbatch.
fn tensor(name: &str, bytes: usize) -> TensorSpec {
    TensorSpec { name: name.to_owned(), dims: vec![Dim::Fixed(bytes / 4)], dtype: ElementType::F32 }
}

/// Modules `m.0`, `m.1`, ... that take so many seconds, over links that take no time.
fn chain(times: &[f64], ranks: &[usize], num_microbatches: usize) -> (ModuleGraph, StepModel) {
    let modules = (0..times.len()).map(|i| module(&format!("m.{i}"), Role::Layer, 1, 1));
    let graph = ModuleGraph::chain(modules, &[tensor("hidden_states", 4)]).unwrap();
    let times = times.iter().enumerate().map(|(i, &time)| (format!("m.{i}"), time)).collect();
    (graph, model(times, ranks, num_microbatches))
}

fn model(times: BTreeMap<String, f64>, ranks: &[usize], num_microbatches: usize) -> StepModel {
    StepModel {
        shape: BatchShape { batch_size: 1, seq_len: 1 },
        num_microbatches,
        ranks: ranks.to_vec(),
        times: ModuleTimes::Measured(times),
        link: Link { bytes_per_second: 1e30, latency: 0.0 },
        memory: Memory {
            bytes_per_trainable: 16.0,
            bytes_per_frozen: 2.0,
            held: vec![1; ranks.len()],
            num_parts: 1,
            limits: MemoryLimits::Unlimited,
        },
    }
}

/// How many modules each stage has.
fn sizes(balanced: &Balanced) -> Vec<usize> {
    balanced.partition.stages().iter().map(|stage| stage.modules().len()).collect()
}

#[test]
fn the_busiest_rank_is_as_little_busy_as_it_can_be() {
    let (graph, model) = chain(&[1.0, 1.0, 1.0, 1.0, 1.0, 5.0], &[0, 1, 2], 8);
    let balanced = balance(&graph, &model).unwrap();
    assert_eq!(sizes(&balanced), [3, 2, 1]);
    // One microbatch through all modules, and seven more at the pace of the last rank.
    assert_eq!(balanced.prediction.step_time, 10.0 + 7.0 * 5.0);
    assert_eq!(balanced.prediction.busiest_rank(), 2);
    assert!(balanced.is_optimal && balanced.lower_bound == balanced.prediction.step_time);
}

#[test]
fn stages_are_alike_where_it_does_not_matter() {
    let (graph, model) = chain(&[1.0; 7], &[0, 1, 2], 4);
    let mut counts = sizes(&balance(&graph, &model).unwrap());
    counts.sort_unstable();
    assert_eq!(counts, [2, 2, 3]);
    let single = StepModel { num_microbatches: 1, ..model };
    let mut counts = sizes(&balance(&graph, &single).unwrap());
    counts.sort_unstable();
    assert_eq!(counts, [2, 2, 3]);
}

#[test]
fn a_cheap_place_to_cut_is_worth_some_time() {
    // The even cut would send a tensor that takes a minute.
    let mut graph = ModuleGraph::new();
    for i in 0..4 {
        graph.add_module(module(&format!("m.{i}"), Role::Layer, 1, 1)).unwrap();
    }
    for (i, bytes) in [4, 60, 4].into_iter().enumerate() {
        let (from, to) = (format!("m.{i}"), format!("m.{}", i + 1));
        graph.add_edge(&from, &to, vec![tensor("x", bytes)]).unwrap();
    }
    let times = (0..4).map(|i| (format!("m.{i}"), 1.0)).collect();
    let mut model = model(times, &[0, 1], 2);
    model.link.bytes_per_second = 1.0;
    let balanced = balance(&graph, &model).unwrap();
    assert_eq!(balanced.prediction.step_time, 4.0 + 2.0 * 4.0 + 3.0);
    // With many microbatches the pace is what counts.
    model.num_microbatches = 1000;
    let balanced = balance(&graph, &model).unwrap();
    assert_eq!(sizes(&balanced), [2, 2]);
    assert_eq!(balanced.prediction.step_time, 4.0 + 2.0 * 60.0 + 999.0 * 2.0);
}

#[test]
fn a_v_puts_short_stages_beside_long_ones() {
    let (graph, model) = chain(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 3.0], &[0, 1, 1, 0], 10);
    let balanced = balance(&graph, &model).unwrap();
    let times: Vec<_> = balanced.prediction.ranks.iter().map(|rank| rank.time).collect();
    assert_eq!(times, [6.0, 6.0]);
    assert!(balanced.is_optimal);
}

#[test]
fn equal_layers_on_a_loop_are_known_to_be_balanced() {
    let ranks: Vec<usize> = (0..8).cycle().take(16).collect();
    let (graph, model) = chain(&[1.0; 130], &ranks, 64);
    let balanced = balance(&graph, &model).unwrap();
    // Some rank has 17 of them.
    assert_eq!(balanced.prediction.step_time, 130.0 + 63.0 * 17.0);
    assert!(balanced.is_optimal);
}

#[test]
fn a_model_of_one_stage() {
    let (graph, model) = chain(&[1.0, 2.0], &[0], 3);
    let balanced = balance(&graph, &model).unwrap();
    assert_eq!((sizes(&balanced), balanced.prediction.step_time), (vec![2], 9.0));
}

#[test]
fn memory_decides_where_time_would_not() {
    let (graph, mut model) = chain(&[1.0; 6], &[0, 1, 2], 4);
    // A module takes 16 bytes, and 10 of activations for each microbatch held.
    let mut modules: Vec<_> = graph.modules().cloned().collect();
    for module in &mut modules {
        module.activation_bytes = Cost { per_sample: 10, ..Cost::default() }.into();
    }
    let graph = ModuleGraph::chain(modules, &[tensor("hidden_states", 4)]).unwrap();
    model.memory.held = vec![3, 2, 1];
    model.memory.limits = MemoryLimits::Each(80.0);
    let balanced = balance(&graph, &model).unwrap();
    assert_eq!(sizes(&balanced), [1, 2, 3]);
    let bytes: Vec<_> = balanced.prediction.ranks.iter().map(|rank| rank.bytes).collect();
    assert_eq!(bytes, [46.0, 72.0, 78.0]);
    model.memory.limits = MemoryLimits::PerRank(vec![92.0, 72.0, 52.0]);
    assert_eq!(sizes(&balance(&graph, &model).unwrap()), [2, 2, 2]);
}
