//! What a configuration and a graph come to, and what is refused.

use std::collections::BTreeMap;

use autopipe_config::{PipelineConfig, Rounding};
use autopipe_runtime::Tie;
use autopipe_schedule::{Stage, ValidProgram, csv};
use autopipe_splitter::{
    Cost, Dim, ElementType, Module, ModuleGraph, ParameterSpec, Role, TensorSpec,
};

use super::plan;

/// An embedding, `num_layers` layers and a head.
fn graph(num_layers: usize) -> ModuleGraph {
    let module = |name: String, role| Module {
        parameters: vec![ParameterSpec::new(format!("{name}.weight"), [10])],
        name,
        submodules: Vec::new(),
        role,
        flops: Cost::per_token(1),
        activation_bytes: Cost::default().into(),
    };
    let layers = (0..num_layers).map(|i| module(format!("layers.{i}"), Role::Layer));
    let first = [module("embed".to_owned(), Role::Boundary)];
    let last = [module("head".to_owned(), Role::Boundary)];
    ModuleGraph::chain(first.into_iter().chain(layers).chain(last), &[]).unwrap()
}

fn config() -> PipelineConfig {
    PipelineConfig { pp_batch_size: 8, pp_microbatch_size: 2, ..PipelineConfig::default() }
}

/// The words with which a configuration is refused.
#[track_caller]
fn refusal(config: &PipelineConfig) -> String {
    plan(config, None, 4, &graph(6)).unwrap_err().to_string()
}

#[test]
fn the_default_is_1f1b_over_even_stages() {
    let plan = plan(&config(), None, 4, &graph(6)).unwrap();
    assert_eq!(plan.schedule, "Schedule1F1B");
    let sizes: Vec<usize> =
        plan.partition.stages().iter().map(|stage| stage.modules().len()).collect();
    assert_eq!(sizes, [3, 2, 1, 2]);
    assert_eq!((plan.table.num_stages(), plan.table.num_microbatches()), (4, 4));
    assert!(plan.programs.train.has_backward() && !plan.programs.eval.has_backward());
}

#[test]
fn one_rank_is_a_pipeline_of_one_stage() {
    let plan = plan(&config(), None, 1, &graph(6)).unwrap();
    assert_eq!(plan.partition.stages()[0].modules().len(), 8);
}

#[test]
fn a_schedule_is_needed_and_known() {
    let none = PipelineConfig { pp_schedule: None, ..config() };
    assert!(refusal(&none).contains("`pp_schedule` or `pp_schedule_csv`"), "{}", refusal(&none));
    let typo = PipelineConfig { pp_schedule: Some("gpip".to_owned()), ..config() };
    assert!(refusal(&typo).contains("GPipe"), "{}", refusal(&typo));
}

#[test]
fn sizes_have_to_fit() {
    let cases = [
        (PipelineConfig { pp_microbatch_size: 3, ..config() }, "microbatches of 3"),
        (PipelineConfig { pp_microbatch_size: 0, ..config() }, "the smallest size is 1"),
        (PipelineConfig { pp_microbatch_size: 4, ..config() }, "the fewest is 4"),
        (PipelineConfig { layers_per_stage: Some(1), ..config() }, "6"),
    ];
    for (config, expected) in cases {
        assert!(refusal(&config).contains(expected), "{}", refusal(&config));
    }
    let error = plan(&config(), None, 4, &graph(3)).unwrap_err().to_string();
    assert!(error.contains('4') && error.contains('3'), "4 stages of 3 layers: {error}");
}

#[test]
fn layers_per_stage_may_be_rounded_to_the_ranks() {
    let rounding = Some(Rounding::Down);
    let config = PipelineConfig {
        layers_per_stage: Some(1),
        round_virtual_stages_to_pp_multiple: rounding,
        ..config()
    };
    assert_eq!(plan(&config, None, 4, &graph(6)).unwrap().partition.num_stages(), 4);
}

#[test]
fn options_without_effect_are_refused_with_the_reason() {
    let rounding = Some(Rounding::Up);
    let config = PipelineConfig { round_virtual_stages_to_pp_multiple: rounding, ..config() };
    let text = refusal(&config);
    assert!(text.contains("`round_virtual_stages_to_pp_multiple: up` has no effect"), "{text}");
}

#[test]
fn what_makes_no_difference_is_told() {
    let config = PipelineConfig { patch_inner_model: false, pp_seq_len: Some(64), ..config() };
    let plan = plan(&config, None, 4, &graph(6)).unwrap();
    let text: Vec<String> = plan.without_effect.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 1, "{text:?}");
    assert!(text[0].contains("`patch_inner_model: false` has no effect"), "{text:?}");
}

#[test]
fn a_list_of_modules_is_checked() {
    let lists = |lists: [&[&str]; 2]| {
        lists.map(|list| list.iter().map(|&name| name.to_owned()).collect()).to_vec()
    };
    let good = lists([&["embed", "layers.0"], &["layers.1", "head"]]);
    let config = |lists| PipelineConfig { module_fqns_per_model_part: Some(lists), ..config() };
    assert_eq!(
        plan(&config(good), None, 2, &graph(2)).unwrap().partition.stage_of("head"),
        Some(1)
    );
    for (bad, expected) in [
        (lists([&["embed", "layers.0"], &["head"]]), "layers.1"),
        (lists([&["embed", "layer.0"], &["layers.1", "head"]]), "layers.0"),
        (lists([&["embed", "layers.0"], &["layers.0", "layers.1", "head"]]), "layers.0"),
    ] {
        let error = plan(&config(bad), None, 2, &graph(2)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = plan(&config(lists([&["embed"], &["head"]])), None, 4, &graph(2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "module_fqns_per_model_part lists 2 stages, which 4 ranks cannot share evenly; list a multiple of 4"
    );
    let single = config(lists([&["embed", "layers.0"], &["layers.1", "head"]]));
    let error = plan(&single, None, 1, &graph(2)).unwrap_err().to_string();
    assert!(error.contains("1F1B") && error.contains('2'), "two stages on the one rank: {error}");
}

#[test]
fn lists_say_how_many_stages_a_rank_has() {
    let lists = (0..6).map(|stage| {
        let mut list = vec![format!("layers.{stage}")];
        if stage == 0 {
            list.push("embed".to_owned());
        }
        if stage == 5 {
            list.push("head".to_owned());
        }
        list
    });
    let config = PipelineConfig {
        pp_schedule: Some("interleaved1f1b".to_owned()),
        module_fqns_per_model_part: Some(lists.collect()),
        ..config()
    };
    let plan = plan(&config, None, 2, &graph(6)).unwrap();
    assert_eq!((plan.table.num_stages(), plan.partition.num_stages()), (6, 6));
}

#[test]
fn tied_parameters_can_be_planned() {
    let graph = |num_layers, trainable| {
        let mut graph = ModuleGraph::new();
        for mut module in self::graph(num_layers).modules().cloned() {
            module.parameters[0].trainable = trainable || module.name != "embed";
            graph.add_module(module).unwrap();
        }
        for (from, to, tensors) in self::graph(num_layers).edges() {
            graph.add_edge(&from.name, &to.name, tensors.to_vec()).unwrap();
        }
        graph
    };
    let tied = ParameterSpec {
        shared_with: Some("embed.weight".to_owned()),
        ..ParameterSpec::new("tail.weight", [10])
    };
    let tail = Module {
        name: "tail".to_owned(),
        parameters: vec![tied],
        submodules: Vec::new(),
        role: Role::Boundary,
        flops: Cost::default(),
        activation_bytes: Cost::default().into(),
    };
    let with_tail = |trainable: [bool; 2]| {
        let mut graph = graph(2, trainable[0]);
        let mut tail = tail.clone();
        tail.parameters[0].trainable = trainable[1];
        graph.add_module(tail).unwrap();
        graph.add_edge("head", "tail", Vec::new()).unwrap();
        plan(&config(), None, 2, &graph)
    };
    let plan = with_tail([true; 2]).unwrap();
    assert_eq!(plan.partition.tied().len(), 1);
    let names = |stage, name: &str| (Stage::new(stage), vec![name.to_owned()]);
    let copies = BTreeMap::from([names(0, "embed.weight"), names(1, "tail.weight")]);
    assert_eq!(plan.ties, [Tie { copies }]);
    let sums = |program: &ValidProgram| {
        let all = program.rows().iter().map(|row| row.last().unwrap().to_string());
        all.filter(|action| action.contains("TIED")).collect::<Vec<_>>()
    };
    assert_eq!(sums(&plan.programs.train), ["0REDUCE_TIED0", "1REDUCE_TIED0"]);
    assert_eq!(sums(&plan.programs.eval), [] as [&str; 0]);

    assert_eq!(with_tail([false; 2]).unwrap().ties, [], "what is frozen stays equal");
    assert_eq!(
        with_tail([true, false]).unwrap_err().to_string(),
        "`tail.weight` is the same tensor as `embed.weight`, and only one of the two is trainable; \
         train or freeze both"
    );
}

#[test]
fn a_table_decides_stages_and_placement_and_has_to_have_the_sizes() {
    let table = csv::read_plan(&b"0F0,3F0,3B0,0B0\n1F0,2F0,2B0,1B0\n"[..]).unwrap();
    let config = PipelineConfig {
        pp_schedule_csv: Some("v.csv".to_owned()),
        pp_batch_size: 2,
        pp_microbatch_size: 2,
        ..config()
    };
    let made = plan(&config, Some(&table), 2, &graph(4)).unwrap();
    assert_eq!((made.schedule.as_str(), made.partition.num_stages()), ("CSV", 4));
    let error = plan(&config, Some(&table), 4, &graph(4)).unwrap_err();
    assert!(error.to_string().contains("2 rows"), "{error}");
    let config_of_two = PipelineConfig { pp_microbatch_size: 1, ..config.clone() };
    let error = plan(&config_of_two, Some(&table), 2, &graph(4)).unwrap_err().to_string();
    assert!(
        error.contains("1 microbatches, but a batch of 2 in microbatches of 1 makes 2"),
        "{error}"
    );
    let forward = plan(&config, Some(&table.forward_only()), 2, &graph(4)).unwrap_err().to_string();
    assert!(forward.contains("only goes forward"), "{forward}");
    let unread = plan(&config, None, 2, &graph(4)).unwrap_err().to_string();
    assert!(unread.contains("v.csv") && unread.contains("PipelineArgs::table"), "{unread}");
}

#[test]
fn a_tensor_that_skips_a_stage_is_handed_on_if_it_has_a_name() {
    let two = PipelineConfig { pp_batch_size: 4, pp_microbatch_size: 1, ..config() };
    let mut graph = graph(4);
    let skip =
        TensorSpec { name: "skip".to_owned(), dims: vec![Dim::Batch], dtype: ElementType::F32 };
    graph.add_edge("layers.0", "layers.3", vec![skip]).unwrap();
    let routes = plan(&two, None, 4, &graph).unwrap().routes;
    assert!(!routes.is_plain());
    assert_eq!(routes.boundaries()[1][0].from, "layers.0");

    let mut unnamed = self::graph(4);
    unnamed.add_edge("layers.0", "layers.3", Vec::new()).unwrap();
    assert!(plan(&two, None, 2, &unnamed).is_ok(), "neighbours");
    let error = plan(&two, None, 4, &unnamed).unwrap_err().to_string();
    assert!(error.contains("`layers.3` on stage 3 takes what `layers.0` on stage 0"), "{error}");
}
