//! What cannot be balanced, and in which words.

use super::*;

fn refused(graph: &ModuleGraph, model: &StepModel) -> String {
    balance(graph, model).unwrap_err().to_string()
}

#[test]
fn everything_that_is_wrong_comes_at_once() {
    let (graph, mut model) = chain(&[1.0, 2.0], &[0, 3, 3], 0);
    model.times = ModuleTimes::Measured(BTreeMap::from([
        ("m.0".to_owned(), f64::NAN),
        ("n.1".to_owned(), -1.0),
        ("zzzzzzzz".to_owned(), 1.0),
    ]));
    model.link = Link { bytes_per_second: 0.0, latency: f64::INFINITY };
    model.memory = Memory {
        bytes_per_trainable: -0.5,
        bytes_per_frozen: 1e61,
        held: vec![1],
        num_parts: 1,
        limits: MemoryLimits::PerRank(vec![1.0, -1.0, 1.0]),
    };
    insta::assert_snapshot!(refused(&graph, &model), @"
    the step cannot be predicted:
      - 3 stages need at least 3 modules, the model has 2; use fewer stages
      - num_microbatches is 0, a step needs at least 1
      - `ranks` has 3 stages and `held` 1, these have to be equal
      - the link's bytes_per_second is 0.0, it has to be more than 0 and at most 1e60
      - the link's latency is inf, it has to be at least 0 and at most 1e60
      - bytes_per_trainable is -0.5, it has to be at least 0 and at most 1e60
      - bytes_per_frozen is 1e61, it has to be at least 0 and at most 1e60
      - rank 1 has no stage, and a later rank has; number the ranks without gaps
      - the memory of rank 1 is -1.0, it has to be at least 0 and at most 1e60
      - `ranks` has 2 ranks and `limits` 3, these have to be equal
      - the time of `m.0` is NaN, it has to be at least 0 and at most 1e60
      - a time was measured for `n.1`, which the model does not have; did you mean `m.1`?
      - the time of `n.1` is -1.0, it has to be at least 0 and at most 1e60
      - a time was measured for `zzzzzzzz`, which the model does not have
      - no time was measured for module `m.1`
    ");
}

#[test]
fn numbers_that_are_too_large_together() {
    let (graph, mut model) = chain(&[1.0, 2.0], &[0, 1], 1);
    model.link.bytes_per_second = 1e-61;
    insta::assert_snapshot!(refused(&graph, &model), @"the step cannot be predicted: the time to send what `m.1` takes is 8e61, it has to be at least 0 and at most 1e60");
    let (_, mut model) = chain(&[1.0, 2.0], &[0, 1], 1);
    let modules = graph.modules().cloned().map(|mut module| {
        module.flops = Cost::per_token(u64::MAX);
        module
    });
    let graph = ModuleGraph::chain(modules, &[]).unwrap();
    model.times =
        ModuleTimes::Computed { flops_per_second: f64::MIN_POSITIVE, backward_per_forward: 2.0 };
    insta::assert_snapshot!(refused(&graph, &model), @"
    the step cannot be predicted:
      - the time of `m.0` is inf, it has to be at least 0 and at most 1e60
      - the time of `m.1` is inf, it has to be at least 0 and at most 1e60
    ");
    model.times = ModuleTimes::Computed { flops_per_second: -1.0, backward_per_forward: f64::NAN };
    insta::assert_snapshot!(refused(&graph, &model), @"
    the step cannot be predicted:
      - flops_per_second is -1.0, it has to be more than 0 and at most 1e60
      - backward_per_forward is NaN, it has to be at least 0 and at most 1e60
    ");
}

#[test]
fn the_largest_numbers_overflow_nothing() {
    let (graph, mut model) = chain(&[1e60, 1e60, 1e60], &[0, 1, 1], usize::MAX);
    model.shape = BatchShape { batch_size: usize::MAX, seq_len: usize::MAX };
    model.link = Link { bytes_per_second: 1e-20, latency: 1e59 };
    model.memory.held = vec![usize::MAX; 3];
    model.memory.bytes_per_trainable = 1e60;
    let balanced = balance(&graph, &model).unwrap();
    assert!(balanced.prediction.step_time.is_finite() && balanced.is_optimal);
}

#[test]
fn more_stages_than_modules() {
    let (graph, model) = chain(&[1.0, 2.0], &[0, 1, 2], 1);
    insta::assert_snapshot!(refused(&graph, &model), @"the step cannot be predicted: 3 stages need at least 3 modules, the model has 2; use fewer stages");
    let (graph, model) = chain(&[1.0, 2.0], &[], 1);
    insta::assert_snapshot!(refused(&graph, &model), @"the step cannot be predicted: `ranks` is empty, a pipeline needs at least 1 stage");
    let (graph, model) = chain(&vec![1.0; 5000], &(0..5000).collect::<Vec<_>>(), 1);
    insta::assert_snapshot!(refused(&graph, &model), @"the step cannot be predicted: 5000 modules on 5000 stages are more than can be balanced: the product may be 16777216; describe larger modules");
}

#[test]
fn unconnected_modules() {
    let (mut graph, model) = chain(&[1.0, 2.0], &[0, 1], 1);
    graph.add_module(module("tower", Role::Boundary, 1, 1)).unwrap();
    insta::assert_snapshot!(refused(&graph, &model), @"module `tower` is not connected to the first one, so that its place in the data flow is unknown; add the edges between them");
}

#[test]
fn too_little_memory_names_module_and_way_out() {
    // 16 bytes of parameters and one of activations for each module.
    let (graph, mut model) = chain(&[1.0; 7], &[0, 1, 2], 4);
    model.memory.limits = MemoryLimits::PerRank(vec![40.0, 35.0, 50.0]);
    insta::assert_snapshot!(refused(&graph, &model), @"stage 2 on rank 2 has no room for module `m.6`: it would need 51 bytes, the limit of the rank is 50; at least 51 bytes on each rank would do, or use more stages or fewer microbatches at a time");
    let BalanceError::Memory { least: LeastMemory::Exactly(least), .. } =
        balance(&graph, &model).unwrap_err()
    else {
        panic!("another error")
    };
    model.memory.limits = MemoryLimits::Each(least);
    assert!(balance(&graph, &model).is_ok());
    model.memory.limits = MemoryLimits::Each(least.next_down());
    assert!(balance(&graph, &model).is_err());

    let (graph, mut model) = chain(&[1.0; 8], &[0, 1, 1, 0], 4);
    model.memory.limits = MemoryLimits::Each(60.0);
    insta::assert_snapshot!(refused(&graph, &model), @"no cut fits the memory of the ranks; 68 bytes on each rank would do");
    model.memory.limits = MemoryLimits::Each(16.0);
    insta::assert_snapshot!(refused(&graph, &model), @"stage 3 on rank 0 has no room for module `m.0`: it would need 17 bytes, the limit of the rank is 16; 68 bytes on each rank would do, or use more stages or fewer microbatches at a time");
}

#[test]
fn a_module_that_fits_on_some_stages_only() {
    let (_, mut model) = chain(&[1.0; 3], &[0, 1, 2], 4);
    // The middle module would fit on the last stage only, and there is one behind it.
    let modules = (0..).zip([0, 8, 0]);
    let modules = modules.map(|(i, kept)| module(&format!("m.{i}"), Role::Layer, 1, kept));
    let graph = ModuleGraph::chain(modules, &[tensor("x", 4)]).unwrap();
    model.memory.held = vec![3, 3, 1];
    model.memory.limits = MemoryLimits::Each(39.0);
    insta::assert_snapshot!(refused(&graph, &model), @"stage 2 on rank 2 has no room for module `m.2`: it would need 40 bytes, the limit of the rank is 39; at least 40 bytes on each rank would do, or use more stages or fewer microbatches at a time");
}
