//! What a step takes on a given partition, counted by hand.

use super::*;
use crate::{Kept, split_even, split_explicit};

fn lists(texts: &[&str]) -> Vec<Vec<String>> {
    texts.iter().map(|text| text.split_whitespace().map(ToOwned::to_owned).collect()).collect()
}

/// embed, m.0, m.1, head with a tied weight, and a skip from embed to head; rope on every stage.
fn decoder() -> ModuleGraph {
    let mut modules = vec![
        module("embed", Role::Boundary, 100, 1),
        module("m.0", Role::Layer, 10, 2),
        module("m.1", Role::Layer, 10, 2),
        module("rope", Role::EveryStage, 0, 5),
        module("head", Role::Boundary, 100, 3),
    ];
    modules[1].parameters[0].trainable = false;
    modules[4].parameters[0].shared_with = Some("embed.weight".to_owned());
    for module in &mut modules {
        module.flops = Cost::per_token(20);
    }
    let mut graph = ModuleGraph::chain(modules, &[tensor("hidden_states", 8)]).unwrap();
    let ids =
        TensorSpec { dtype: ElementType::I64, dims: vec![Dim::Fixed(2)], name: "ids".to_owned() };
    graph.add_edge("embed", "head", vec![ids]).unwrap();
    graph
}

fn step(ranks: &[usize]) -> StepModel {
    StepModel {
        shape: BatchShape { batch_size: 1, seq_len: 2 },
        num_microbatches: 4,
        ranks: ranks.to_vec(),
        times: ModuleTimes::Computed { flops_per_second: 10.0, backward_per_forward: 2.0 },
        link: Link { bytes_per_second: 8.0, latency: 0.5 },
        memory: Memory {
            bytes_per_trainable: 16.0,
            bytes_per_frozen: 2.0,
            held: vec![2; ranks.len()],
            num_parts: 1,
            limits: MemoryLimits::Each(2000.0),
        },
    }
}

#[test]
fn by_stage_and_rank() {
    let graph = decoder();
    let partition = split_explicit(&graph, &lists(&["embed m.0", "m.1", "head"])).unwrap();
    let prediction = evaluate(&graph, &partition, &step(&[0, 1, 0])).unwrap();
    // A module takes 40 operations forward and 80 backward, 12 seconds.
    let times: Vec<_> = prediction.stages.iter().map(|stage| stage.time).collect();
    assert_eq!(times, [36.0, 24.0, 24.0]);
    // Hidden states there and back, and on the way past m.1 the ids beside them, there only.
    let sent: Vec<_> =
        prediction.stages.iter().map(|stage| (stage.sent_bytes, stage.sending)).collect();
    assert_eq!(sent, [(32.0, 5.0), (32.0, 5.0), (0.0, 0.0)]);
    let bytes: Vec<_> =
        prediction.stages.iter().map(|s| (s.parameter_bytes, s.activation_bytes)).collect();
    assert_eq!(bytes, [(1620.0, 16.0), (160.0, 14.0), (1600.0, 16.0)]);
    let ranks: Vec<_> =
        prediction.ranks.iter().map(|rank| (rank.time, rank.bytes, rank.fits())).collect();
    assert_eq!(ranks, [(60.0, 3252.0, false), (24.0, 174.0, true)]);
    assert_eq!(prediction.step_time, 84.0 + 10.0 + 3.0 * 60.0);
}

#[test]
fn of_what_is_kept_several_parts_hold_less_each() {
    let bytes = |per_sample| Cost { per_sample, ..Cost::default() };
    let layers = (0..4).map(|i| Module {
        activation_bytes: Kept { whole: bytes(10), cut: bytes(100), added: bytes(3) },
        ..module(&format!("m.{i}"), Role::Layer, 1, 0)
    });
    let graph = ModuleGraph::chain(layers, &[]).unwrap();
    let partition = split_even(&graph, 2).unwrap();
    for (num_parts, each) in [(1, 110.0), (2, 63.0), (4, 38.0)] {
        let mut model = step(&[0, 1]);
        model.memory.num_parts = num_parts;
        model.memory.held = vec![2, 1];
        let stages = evaluate(&graph, &partition, &model).unwrap().stages;
        let held: Vec<f64> = stages.iter().map(|stage| stage.activation_bytes).collect();
        assert_eq!(held, [2.0 * 2.0 * each, 2.0 * each]);
        // Of one that has no room for three of them, each rank gets two.
        model.ranks = vec![0, 1];
        model.memory.held = vec![1, 1];
        model.memory.limits = MemoryLimits::Each(2.0 * (16.0 + each));
        assert!(balance(&graph, &model).is_ok());
        model.memory.limits = MemoryLimits::Each(2.0 * (16.0 + each) - 1.0);
        assert!(balance(&graph, &model).is_err());
    }
}

#[test]
fn stages_of_one_rank_send_nothing() {
    let graph = decoder();
    let partition = split_even(&graph, 2).unwrap();
    let prediction = evaluate(&graph, &partition, &step(&[0, 0])).unwrap();
    assert_eq!(prediction.stages[0].sending, 0.0);
    assert_eq!(prediction.step_time, 4.0 * 72.0);
}

#[test]
fn a_shared_tensor_counts_once_on_a_stage() {
    let graph = decoder();
    let whole = split_even(&graph, 1).unwrap();
    let prediction = evaluate(&graph, &whole, &step(&[0])).unwrap();
    assert_eq!(prediction.stages[0].parameter_bytes, 110.0 * 16.0 + 10.0 * 2.0);
}

#[test]
fn a_partition_of_something_else() {
    let graph = decoder();
    let (other, _) = chain(&[1.0, 1.0], &[0, 1], 1);
    let partition = split_even(&other, 2).unwrap();
    let error = evaluate(&graph, &partition, &step(&[0, 1, 2])).unwrap_err();
    insta::assert_snapshot!(error, @"
    the step cannot be predicted:
      - the partition has 2 stages and `ranks` 3, these have to be equal
      - the partition is of another model: `embed` is on no stage of it
    ");
}
