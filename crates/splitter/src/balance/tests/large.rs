//! Large graphs: they are balanced, whatever a machine takes for it.

use super::*;

/// Times and tensors that differ, without a random number.
fn rough(num_modules: usize, ranks: &[usize], num_microbatches: usize) -> (ModuleGraph, StepModel) {
    let rough = |i: usize, step: usize| (i * step) % 101;
    let mut graph = ModuleGraph::new();
    let mut times = BTreeMap::new();
    for i in 0..num_modules {
        let name = format!("m.{i}");
        graph.add_module(module(&name, Role::Layer, 1 + rough(i, 37), 1)).unwrap();
        if let Some(before) = i.checked_sub(1) {
            let tensors = vec![tensor("x", 4 + 4 * rough(i, 53))];
            graph.add_edge(&format!("m.{before}"), &name, tensors).unwrap();
        }
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        times.insert(name, 1.0 + rough(i, 71) as f64 / 100.0);
    }
    let mut model = model(times, ranks, num_microbatches);
    model.link.bytes_per_second = 10.0;
    (graph, model)
}

#[test]
fn ten_thousand_modules_on_sixty_four_ranks() {
    let ranks: Vec<usize> = (0..64).collect();
    for num_microbatches in [1, 4, 256] {
        let (graph, mut model) = rough(10_000, &ranks, num_microbatches);
        let free = balance(&graph, &model).unwrap();
        assert!(free.is_optimal);
        let bytes = free.prediction.ranks.iter().map(|rank| rank.bytes).fold(0.0, f64::max);
        model.memory.limits = MemoryLimits::Each(bytes - 1000.0);
        let tight = balance(&graph, &model).unwrap();
        assert!(tight.prediction.ranks.iter().all(RankPrediction::fits));
        assert!(tight.prediction.step_time >= free.prediction.step_time);
    }
}

#[test]
fn ten_thousand_modules_on_a_loop() {
    let ranks: Vec<usize> = (0..16).cycle().take(64).collect();
    let (graph, model) = rough(10_000, &ranks, 64);
    let balanced = balance(&graph, &model).unwrap();
    let Balanced { prediction, lower_bound, .. } = &balanced;
    assert!(*lower_bound <= prediction.step_time);
    assert!(prediction.step_time < 1.01 * lower_bound, "{} {lower_bound}", prediction.step_time);
}

#[test]
fn a_decoder_of_eighty_layers_on_a_v() {
    let ranks: Vec<usize> = (0..8).chain((0..8).rev()).collect();
    let (graph, model) = rough(83, &ranks, 32);
    let balanced = balance(&graph, &model).unwrap();
    assert!(balanced.is_optimal, "{} {}", balanced.lower_bound, balanced.prediction.step_time);
}

/// The best that is known of each was found by weighing a hundred times as many cuts.
#[test]
fn uneven_layers_on_a_loop_come_close_to_the_best_known() {
    let known = [(4, 8, 936.95), (8, 16, 1107.38), (8, 32, 1365.46), (16, 32, 1524.05)];
    for (num_ranks, num_stages, best) in known {
        let ranks: Vec<usize> = (0..num_ranks).cycle().take(num_stages).collect();
        let (graph, model) = rough(120, &ranks, 4 * num_ranks);
        let Balanced { prediction, lower_bound, .. } = balance(&graph, &model).unwrap();
        assert!(lower_bound <= best + 1e-9, "{lower_bound} {best}");
        assert!(prediction.step_time < 1.04 * best, "{} {best}", prediction.step_time);
    }
}
