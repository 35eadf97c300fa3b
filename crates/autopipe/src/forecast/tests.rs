//! What is predicted of small models, by hand.

use autopipe_config::PipelineConfig;
use autopipe_splitter::{
    BatchShape, Cost, Dim, ElementType, Kept, Module, ModuleGraph, ParameterSpec, Role, TensorSpec,
};

use super::suggest::SAME_MEMORY;
use super::{
    Forecast, ParameterBytes, Shards, Speed, Warning, Workload, forecast, suggest, warnings,
};
use crate::{PipelinePlan, Split, plan, split};

/// 8 bytes per token, 6 of which are cut where there are several parts.
const LAYER: Kept =
    Kept { whole: Cost::per_token(2), cut: Cost::per_token(6), added: Cost::per_token(1) };

/// Layers of so many operations per token, and one head.
fn graph(num_layers: usize, layer: Cost, head: u64) -> ModuleGraph {
    let module = |name: String, role, flops| Module {
        parameters: vec![ParameterSpec::new(format!("{name}.weight"), [100])],
        name,
        submodules: Vec::new(),
        role,
        flops,
        activation_bytes: if role == Role::Layer { LAYER } else { Kept::default() },
    };
    let layers = (0..num_layers).map(|i| module(format!("layers.{i}"), Role::Layer, layer));
    let head = module("head".to_owned(), Role::Boundary, Cost::per_token(head));
    let dims = vec![Dim::Batch, Dim::Sequence, Dim::Fixed(5)];
    let hidden = TensorSpec { name: "hidden".to_owned(), dims, dtype: ElementType::F32 };
    ModuleGraph::chain(layers.chain([head]), &[hidden]).unwrap()
}

fn config(schedule: &str, num_microbatches: usize) -> PipelineConfig {
    PipelineConfig {
        pp_schedule: Some(schedule.to_owned()),
        pp_batch_size: num_microbatches,
        ..PipelineConfig::default()
    }
}

fn workload() -> Workload {
    Workload {
        microbatch: BatchShape { batch_size: 1, seq_len: 10 },
        parameter_bytes: ParameterBytes { weight: 2, gradient: 4, optimizer: 8 },
        shards: Shards::NONE,
        speed: None,
        memory_limit: None,
    }
}

fn made(
    config: &PipelineConfig,
    graph: &ModuleGraph,
    workload: &Workload,
) -> (PipelinePlan, Forecast) {
    let plan = plan(config, None, 2, graph).unwrap();
    let forecast = forecast(&plan, workload);
    (plan, forecast)
}

#[test]
fn equal_stages_take_what_the_formula_says() {
    let graph = graph(4, Cost::per_token(30), 0);
    let (_, forecast) = made(&config("gpipe", 6), &graph, &workload());
    // A stage takes 2 x 30 x 10 forward and twice that backward; (m + p - 1) of them in a row.
    assert_eq!(forecast.step, 7. * 3. * 600.);
    assert!((forecast.bubble - 1. / 7.).abs() < 1e-12, "{}", forecast.bubble);
    assert_eq!(forecast.tokens, 60.);
    assert!((forecast.idle - 1. / 7.).abs() < 1e-12, "{}", forecast.idle);
    assert_eq!(forecast.stages[0].time, 1800.);
    assert_eq!(forecast.stages[0].message_bytes, 10. * 5. * 4.);
    assert_eq!(forecast.stages[1].message_bytes, 0.);
    let rank = &forecast.ranks[0];
    assert_eq!((rank.weights, rank.gradients, rank.optimizer), (400., 800., 1600.));
    assert_eq!((rank.num_activations, rank.activations), (6, 6. * 2. * 80.));
    assert_eq!(rank.total(), 2800. + 960.);
    assert_eq!(forecast.peak_bytes(), forecast.ranks[1].total(), "which has the head");
}

#[test]
fn attention_has_no_weights_and_a_longer_backward() {
    let cost = Cost { per_pair: 2, ..Cost::default() };
    let (_, forecast) = made(&config("gpipe", 1), &graph(2, cost, 0), &workload());
    // 55 pairs: forward 110, backward 2.5 times that, one stage after the other.
    assert_eq!(forecast.stages[0].time, 110. * 3.5);
    assert!((forecast.step - 2. * 110. * 3.5).abs() < 1e-9, "{}", forecast.step);
}

#[test]
fn shards_share_parameters_and_a_speed_makes_seconds() {
    let graph = graph(4, Cost::per_token(30), 0);
    let speed = Speed { flops: 600., bandwidth: Some(100.) };
    let with = Workload {
        shards: Shards { weights: 4, gradients: 1, optimizer: 2, sequence: 2, layer: 3 },
        speed: Some(speed),
        ..workload()
    };
    let (_, forecast) = made(&config("gpipe", 1), &graph, &with);
    assert_eq!(forecast.ranks[0].weights, 100.);
    assert_eq!((forecast.ranks[0].gradients, forecast.ranks[0].optimizer), (800., 800.));
    // Half of each sequence, in two layers; of what is cut in a layer, a third.
    assert_eq!(forecast.ranks[0].activations, 5. * 2. * (2. + 1. + 6. / 3.));
    // Two stages one after the other, and 100 bytes there and back between them.
    assert!((forecast.step - (2. * 3. / 6. + 2.)).abs() < 1e-9, "{}", forecast.step);
    assert_eq!(forecast.tokens, 10., "whole sequences");
}

#[test]
fn a_model_without_operations_has_equal_stages() {
    let (_, forecast) = made(&config("gpipe", 3), &graph(2, Cost::default(), 0), &workload());
    assert!((forecast.bubble - 0.25).abs() < 1e-12, "{}", forecast.bubble);
}

#[test]
fn frozen_stages_in_front_take_a_forward_and_hold_nothing() {
    let graph = graph(4, Cost::per_token(30), 0);
    let mut half_frozen = ModuleGraph::new();
    for (place, mut module) in graph.modules().cloned().enumerate() {
        module.parameters[0].trainable = place > 2;
        half_frozen.add_module(module).unwrap();
    }
    for (from, to, tensors) in graph.edges() {
        half_frozen.add_edge(&from.name, &to.name, tensors.to_vec()).unwrap();
    }
    let (plan, forecast) = made(&config("gpipe", 6), &half_frozen, &workload());
    assert_eq!(plan.partition.trained_from(), Some(1));
    let times: Vec<f64> = forecast.stages.iter().map(|stage| stage.time).collect();
    assert_eq!(times, [600., 1800.]);
    // The first stage's forward, and then all that the second has to do.
    assert_eq!(forecast.step, 600. + 6. * 1800.);
    let [first, second] = &forecast.ranks[..] else { panic!("two ranks") };
    assert_eq!((first.weights, first.gradients, first.optimizer), (400., 0., 0.));
    assert_eq!((first.activations, second.activations), (0., 6. * 2. * 80.));
    // Of the second's layers one is trained, and so is the head.
    assert_eq!((second.weights, second.gradients, second.optimizer), (600., 800., 1600.));

    let balanced = split(&config("gpipe", 6), None, 2, &half_frozen, &Split::Balanced, &workload());
    let (_, balanced) = made(&balanced.unwrap(), &half_frozen, &workload());
    assert_eq!(balanced.stages[0].modules.len(), 3, "three forwards are one layer's whole step");
}

#[test]
fn numbers_beyond_any_machine_are_still_numbers() {
    let most = Cost { per_sample: u64::MAX, per_token: u64::MAX, per_pair: u64::MAX, window: None };
    let shape = BatchShape { batch_size: usize::MAX, seq_len: usize::MAX };
    let with = Workload { microbatch: shape, ..workload() };
    let (plan, forecast) = made(&config("1f1b", 4), &graph(4, most, u64::MAX), &with);
    assert!(forecast.step.is_finite() && forecast.bubble.is_finite());
    assert!(
        warnings(&plan, &forecast, &with).iter().all(|warning| !warning.to_string().is_empty())
    );
}

#[test]
fn what_is_probably_not_meant() {
    let graph = graph(4, Cost::per_token(30), 120);
    let with = Workload { memory_limit: Some(3000.), ..workload() };
    let config = PipelineConfig { patch_inner_model: false, ..config("gpipe", 1) };
    let (plan, forecast) = made(&config, &graph, &with);
    let text: Vec<String> =
        warnings(&plan, &forecast, &with).iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 4, "{text:#?}");
    assert!(text[0].starts_with("stage 1 takes 50% more time than the mean of 2 stages"));
    assert!(text[1].starts_with("1 microbatches do not fill 2 stages"));
    assert!(text[2].contains("rank 1 most: it needs 4.36 kB and has 3 kB; use"));
    assert!(text[3].contains("`patch_inner_model: false` has no effect"));

    let (plan, forecast) =
        made(&self::config("gpipe", 2), &self::graph(4, Cost::per_token(3), 0), &workload());
    assert_eq!(warnings(&plan, &forecast, &workload()), [] as [Warning; 0]);
}

#[test]
fn a_better_schedule_is_found_within_the_memory() {
    let graph = graph(8, Cost::per_token(30), 0);
    let base = PipelineConfig { layers_per_stage: Some(4), ..config("1f1b", 8) };
    let roomy = Workload { memory_limit: Some(1e6), ..workload() };
    let (_, now) = made(&base, &graph, &roomy);
    let found = suggest(&base, &Split::default(), 2, &graph, &roomy, &now).unwrap();
    assert!(found.forecast.step < 0.98 * now.step);
    assert_eq!(found.options[0].0, "pp_schedule");
    assert_eq!(found.options[1], ("layers_per_stage", "none".to_owned()));
    // What is suggested is what is then predicted.
    let other =
        PipelineConfig { pp_schedule: Some(found.options[0].1.clone()), ..config("1f1b", 8) };
    let (_, then) = made(&other, &graph, &roomy);
    assert_eq!(then, found.forecast);
    assert_eq!(
        suggest(&other, &Split::default(), 2, &graph, &roomy, &then),
        None,
        "nothing is better"
    );

    // A head that is worth eight layers: only a balanced split keeps the ranks busy.
    let heavy = self::graph(8, Cost::per_token(30), 240);
    let (_, now) = made(&base, &heavy, &roomy);
    let found = suggest(&base, &Split::default(), 2, &heavy, &roomy, &now).unwrap();
    assert_eq!(found.options.last().unwrap(), &("split", "balanced".to_owned()));
    let other =
        PipelineConfig { pp_schedule: Some(found.options[0].1.clone()), ..config("1f1b", 8) };
    let lists = split(&other, None, 2, &heavy, &Split::Balanced, &roomy).unwrap();
    assert_eq!(made(&lists, &heavy, &roomy).1.step, found.forecast.step);

    // Without a limit, a step that is only shorter for more memory is not better.
    let (_, now) = made(&base, &graph, &roomy);
    let limit = SAME_MEMORY * now.peak_bytes();
    let within = suggest(&base, &Split::default(), 2, &graph, &workload(), &now);
    assert!(within.is_none_or(|found| found.forecast.peak_bytes() <= limit));
    let none = Workload { memory_limit: Some(1.), ..workload() };
    assert_eq!(suggest(&base, &Split::default(), 2, &graph, &none, &now), None);
}
